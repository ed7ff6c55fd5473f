//! What is told at the end.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use cluster_check::lists::Lists;

use crate::kills::Kill;
use crate::load::{self, Outcome, Record, Wish};
use crate::options::Options;
use cluster_check::history::{self, Action};

/// Everything about a run.
pub struct Report {
    text: String,
    violations: Vec<String>,
}

impl Report {
    pub fn new(
        options: &Options,
        seconds: f64,
        records: &[Record],
        last: &[Record],
        kills: Vec<Kill>,
    ) -> Self {
        let mut text = String::new();
        let mut violations = Vec::new();
        // Writing into memory has no way to fail.
        let _ = write_load(&mut text, options, seconds, records);
        let _ = write_kills(&mut text, &kills);
        let _ = write_gaps(&mut text, seconds, records);
        let all = || records.iter().chain(last);
        for (key, history) in load::shared(all()) {
            if let Err(violation) = history::check(&history) {
                violations.push(format!("key {key}: {violation}"));
            }
        }
        violations.extend(lists(all()).violations());
        let nonsense = all().filter(|record| matches!(record.outcome, Outcome::Nonsense(_)));
        violations.extend(nonsense.map(|record| format!("an answer that makes no sense: {record:?}")));
        let unread = last.iter().filter(|record| record.outcome != Outcome::Done);
        violations.extend(unread.map(|record| format!("could not be read at the end: {record:?}")));
        if let Some(path) = &options.history {
            let lines: String = all().map(|record| format!("{record:?}\n")).collect();
            if let Err(error) = std::fs::write(path, lines) {
                violations.push(format!("the history was not written: {}: {error}", path.display()));
            }
        }
        Self { text, violations }
    }

    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        writeln!(f, "violations        {}", self.violations.len())?;
        self.violations.iter().take(10).try_for_each(|violation| writeln!(f, "\n{violation}"))
    }
}

fn write_load(text: &mut String, options: &Options, seconds: f64, records: &[Record]) -> fmt::Result {
    let count = |outcome| records.iter().filter(|record| record.outcome == outcome).count();
    let done = count(Outcome::Done);
    let (threads, keys, seed) = (options.threads, options.keys, options.seed);
    writeln!(text, "load              {threads} clients, {keys} shared keys, seed {seed}, {seconds:.1} s")?;
    writeln!(
        text,
        "operations        {} ({} done, {} not done, {} without a known outcome), {:.0} done a second",
        records.len(),
        done,
        count(Outcome::NotDone),
        count(Outcome::Open),
        done as f64 / seconds
    )?;
    let hits = records.iter().filter(|record| record.is_hit).count();
    let reads = latencies(records, is_read);
    writeln!(text, "reads             {}, {hits} of them by a cache; {}", reads.len(), percentiles(&reads))?;
    let writes = latencies(records, is_write);
    writeln!(text, "writes            {}; {}", writes.len(), percentiles(&writes))?;
    let listed = latencies(records, |wish| matches!(wish, Wish::List(_)));
    writeln!(text, "lists             {}; {}", listed.len(), percentiles(&listed))
}

fn is_read(wish: &Wish) -> bool {
    matches!(wish, Wish::Shared(_, Action::Read(_)))
}

fn is_write(wish: &Wish) -> bool {
    matches!(wish, Wish::Shared(_, Action::Put(_) | Action::Delete) | Wish::Add(_) | Wish::Remove(_))
}

fn latencies(records: &[Record], of: fn(&Wish) -> bool) -> Vec<u64> {
    let done = records.iter().filter(|record| record.outcome == Outcome::Done && of(&record.wish));
    let mut latencies: Vec<u64> = done.map(|record| record.ended_us - record.began_us).collect();
    latencies.sort_unstable();
    latencies
}

fn percentiles(sorted: &[u64]) -> String {
    let at = |share: f64| {
        let index = (sorted.len().saturating_sub(1) as f64 * share) as usize;
        sorted.get(index).map_or(0.0, |us| *us as f64 / 1000.0)
    };
    format!("{:.2} ms in the middle, {:.1} ms at 99 %, {:.0} ms at most", at(0.5), at(0.99), at(1.0))
}

fn write_kills(text: &mut String, kills: &[Kill]) -> fmt::Result {
    let machines = kills.iter().filter(|kill| kill.is_machine).count();
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    for kill in kills {
        *by_name.entry(&kill.what).or_default() += 1;
    }
    let mut recoveries: Vec<f64> =
        kills.iter().filter_map(|kill| Some(kill.recovery?.as_secs_f64())).collect();
    recoveries.sort_unstable_by(f64::total_cmp);
    if let (Some(middle), Some(longest)) = (recoveries.get(recoveries.len() / 2), recoveries.last()) {
        writeln!(
            text,
            "everything again  {middle:.1} s after a power cut in the middle, {longest:.1} s at most"
        )?;
    }
    let names: Vec<String> = by_name.iter().map(|(name, count)| format!("{name} {count}")).collect();
    writeln!(
        text,
        "kills             {}, {machines} of them of whole machines: {}",
        kills.len(),
        names.join(", ")
    )
}

/// The longest time in which nothing was done that was asked for.
fn write_gaps(text: &mut String, seconds: f64, records: &[Record]) -> fmt::Result {
    let gap = |of: fn(&Wish) -> bool| {
        let done = records.iter().filter(|record| record.outcome == Outcome::Done && of(&record.wish));
        let mut ends: Vec<u64> = done.map(|record| record.ended_us).collect();
        ends.push((seconds * 1e6) as u64);
        ends.sort_unstable();
        let gaps = ends.windows(2).map(|pair| pair[1] - pair[0]);
        let long: Vec<u64> = gaps.filter(|gap| *gap > 500_000).collect();
        let longest = long.iter().max().copied().unwrap_or(0);
        (long.len(), longest as f64 / 1e6, long.iter().sum::<u64>() as f64 / 1e6)
    };
    for (name, (count, longest, all)) in [("reads", gap(is_read)), ("writes", gap(is_write))] {
        writeln!(
            text,
            "no {name:<14} {count} times for more than 0.5 s, {longest:.1} s at most, {all:.1} s in all"
        )?;
    }
    Ok(())
}

fn lists<'r>(records: impl Iterator<Item = &'r Record>) -> Lists {
    let mut lists = Lists::default();
    for record in records {
        let span = match record.outcome {
            Outcome::Done => (record.began_us, Some(record.ended_us)),
            Outcome::Open => (record.began_us, None),
            Outcome::NotDone | Outcome::Nonsense(_) => continue,
        };
        match &record.wish {
            Wish::Add(name) => drop(lists.puts.insert(name.clone(), span)),
            Wish::Remove(name) => drop(lists.deletions.insert(name.clone(), span)),
            Wish::List(keys) => lists.seen.push((record.began_us, record.ended_us, keys.clone())),
            Wish::Shared(..) => {}
        }
    }
    lists
}
