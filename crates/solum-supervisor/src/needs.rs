//! Who needs whom.

/// Drops needs that cannot be met (of a unit that is not there, of the unit itself, or around a circle), and returns the
/// order in which units may start: needs first, and otherwise as described.
///
/// A validated description has no such needs. PID 1 has to go on even with another.
pub fn put_in_order(needs: &mut [Vec<usize>]) -> Vec<usize> {
    let count = needs.len();
    let mut order = Vec::with_capacity(count);
    let mut is_placed = vec![false; count];
    for needed in needs.iter_mut() {
        needed.sort_unstable();
        needed.dedup();
        needed.retain(|&other| other < count);
    }
    while order.len() < count {
        let open = |unit: &usize| !is_placed[*unit];
        let free = |unit: &usize| needs[*unit].iter().all(|&other| is_placed[other]);
        let next = (0..count).filter(open).find(free).or_else(|| (0..count).find(open));
        let Some(unit) = next else { break };
        // What is not placed yet, when nothing is free, lies on a circle or behind one.
        needs[unit].retain(|&other| is_placed[other]);
        is_placed[unit] = true;
        order.push(unit);
    }
    order
}

/// For each unit, which units need it, directly or through others.
pub fn needed_by(needs: &[Vec<usize>], order: &[usize]) -> Vec<Vec<usize>> {
    let mut result = vec![Vec::new(); needs.len()];
    // Backwards, so that whoever needs a unit is complete before the unit gets it.
    for &unit in order.iter().rev() {
        let mut behind: Vec<usize> = std::mem::take(&mut result[unit]);
        behind.sort_unstable();
        behind.dedup();
        for &other in &needs[unit] {
            result[other].push(unit);
            result[other].extend_from_slice(&behind);
        }
        result[unit] = behind;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_come_first_and_otherwise_the_order_is_the_descriptions() {
        let mut needs = vec![vec![2], vec![], vec![3], vec![]];
        assert_eq!(put_in_order(&mut needs), [1, 3, 2, 0]);
    }

    #[test]
    fn needs_that_cannot_be_met_are_dropped() {
        let mut needs = vec![vec![0, 7, 1, 1], vec![2], vec![0], vec![2]];
        assert_eq!(put_in_order(&mut needs), [0, 2, 1, 3]);
        assert_eq!(needs, [vec![], vec![2], vec![0], vec![2]], "only the circle is cut, and at one place");
    }

    #[test]
    fn whoever_needs_a_unit_through_others_needs_it() {
        let mut needs = vec![vec![], vec![0], vec![1, 0], vec![2], vec![]];
        let order = put_in_order(&mut needs);
        assert_eq!(needed_by(&needs, &order), [vec![1, 2, 3], vec![2, 3], vec![3], vec![], vec![]]);
    }
}
