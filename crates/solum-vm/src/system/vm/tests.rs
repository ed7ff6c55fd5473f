use std::io::Read;

use solum_spec::control::Decoder;
use solum_spec::description::{Readiness, Restart};
use solum_spec::operation::Order;
use solum_spec::plan::{Program, Unit};

use super::*;
use crate::requests::requests;

/// Two machines of one unit each, `a.server` and `b.caller`, whose lives the test plays.
struct Bench {
    system: System,
    receiver: Receiver<News>,
    said: Vec<String>,
    _requests: Requests,
}

fn unit(machine: &str, name: &str) -> Unit {
    Unit {
        machine: machine.into(),
        name: name.into(),
        program: 0,
        fits: vec![0],
        arguments: Vec::new(),
        environment: Vec::new(),
        plugs: Vec::new(),
        root: false,
        memory: None,
        cores: Vec::new(),
        needs: Vec::new(),
        wait: Vec::new(),
        restart: Restart::OnFailure,
        ready: Readiness::Start,
        ready_within_ms: 0,
        grace_ms: 0,
        log_bytes: 4096,
    }
}

fn bench() -> Bench {
    let programs = vec![Program { name: "p".into(), path: "/p".into(), ported: false }];
    let units = vec![unit("a", "server"), unit("b", "caller")];
    let plan = Plan { programs, units, ..Plan::default() };
    let booted = |name: &str| Booted {
        name: name.into(),
        machine: Machine::new(name, "k", "i"),
        limits: Limits::default(),
    };
    let (sender, receiver) = channel();
    let (_, requests) = requests().unwrap();
    let post = Post { sender, waker: requests.waker() };
    let system = System::new(vec![booted("a"), booted("b")], plan, post).unwrap();
    let mut bench = Bench { system, receiver, said: Vec::new(), _requests: requests };
    for machine in 0..2 {
        bench.live(machine);
    }
    bench
}

impl Bench {
    /// A machine begins a life, up to where its unit runs for the first time in it.
    fn live(&mut self, machine: usize) {
        self.system.members[machine].life += 1;
        let name = self.system.reports[machine].unit.clone();
        self.happens(machine, Event::Emulated(1000 + machine as u32));
        self.happens(machine, Event::Said(FromMachine::Started));
        let report = UnitReport {
            unit: name,
            program: "p".into(),
            phase: UnitPhase::Running,
            reason: "it is ready".into(),
            starts: 1,
            pid: Some(77),
            machine_pid: None,
        };
        self.happens(machine, Event::Answered(Answer::Units(vec![report])));
    }

    fn happens(&mut self, machine: usize, event: Event) {
        let life = self.system.members[machine].life;
        self.happens_in(machine, life, event);
    }

    fn happens_in(&mut self, machine: usize, life: u32, event: Event) {
        self.system.post.sender.send(News { machine, life, event }).unwrap();
        let said = &mut self.said;
        self.system.listen(&self.receiver, &mut |notice| {
            if let Notice::Said(text) = notice {
                said.push(text.to_owned());
            }
        });
    }

    fn ends(&mut self, machine: usize, end: End) {
        let (kernel_log, durations) = (Vec::new(), Durations::default());
        let report = Report { end, reboots: false, kernel_log, durations };
        self.happens(machine, Event::Ended(Box::new(Ok(report))));
    }

    fn unit(&self, unit: usize) -> (UnitPhase, &str, u32, Option<u32>, Option<u32>) {
        let report = &self.system.reports[unit];
        (report.phase, &report.reason, report.starts, report.pid, report.machine_pid)
    }

    /// The orders that the next life of a machine will hear.
    fn waiting_orders(&mut self, machine: usize) -> Vec<What> {
        let member = &mut self.system.members[machine];
        let mut input = member.take_input().unwrap();
        member.look_forward().unwrap();
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).unwrap();
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        std::iter::from_fn(|| decoder.decode::<Order>().unwrap().map(|order| order.what)).collect()
    }
}

#[test]
fn a_machine_that_vanished_is_told_of_and_its_units_do_not_run_meanwhile() {
    let mut bench = bench();
    assert_eq!(bench.unit(0), (UnitPhase::Running, "it is ready", 1, Some(77), Some(1000)));
    bench.ends(0, End::PowerCut(9));
    let text = "machine a vanished: QEMU was ended by signal 9 (SIGKILL); it is started again in 1 s";
    assert_eq!(bench.said, [text]);
    let why = "its machine vanished; it is started again in 1 s";
    assert_eq!(bench.unit(0), (UnitPhase::Pausing, why, 1, None, None));
    assert_eq!(bench.unit(1), (UnitPhase::Running, "it is ready", 1, Some(77), Some(1001)));
    assert!(bench.system.patience().is_some());
    bench.live(0);
    assert_eq!(bench.unit(0), (UnitPhase::Running, "it is ready", 2, Some(77), Some(1000)));
}

#[test]
fn what_an_earlier_life_said_is_not_heard_in_the_next() {
    let mut bench = bench();
    bench.ends(0, End::PowerCut(9));
    bench.live(0);
    bench.happens_in(0, 1, Event::Emulated(5));
    assert_eq!(bench.unit(0).4, Some(1000));
}

#[test]
fn orders_wait_for_a_machine_that_is_away_and_are_refused_by_one_that_is_off() {
    let mut bench = bench();
    bench.ends(0, End::KernelPanic("sysrq".into()));
    bench.system.obey(Wish::Stop(0)).unwrap();
    assert_eq!(bench.waiting_orders(0), [What::Watch, What::Stop("a.server".into())]);
    bench.ends(1, End::Program(solum_spec::control::Outcome::Exited(0)));
    assert_eq!(bench.said[1], "machine b is off: the program ended with status 0");
    assert_eq!(bench.system.obey(Wish::Start(1)), Err("machine b is off".into()));
}

#[test]
fn whoever_is_away_when_everything_shall_stop_stays_away() {
    let mut bench = bench();
    bench.ends(0, End::PowerCut(9));
    bench.system.obey(Wish::Down).unwrap();
    assert_eq!(bench.unit(0), (UnitPhase::Ended, "its machine has ended", 1, None, None));
    bench.ends(1, End::PowerCut(9));
    assert!(bench.system.members.iter().all(|member| member.lives.is_off()));
    assert_eq!(bench.system.patience(), None);
    assert_eq!(bench.said[1], "machine b is off: QEMU was ended by signal 9 (SIGKILL)");
}

#[test]
fn a_machine_that_takes_no_orders_is_not_waited_for() {
    let mut bench = bench();
    // More than a pipe has room for, and more than is kept.
    let orders = (0..100_000).map_while(|_| bench.system.obey(Wish::Stop(0)).ok()).count();
    assert!((1000..100_000).contains(&orders), "{orders}");
    let refused = bench.system.obey(Wish::Stop(0));
    assert_eq!(refused, Err("machine a does not take orders: it has not taken earlier ones".to_owned()));
    assert!(bench.system.members[0].full().is_some() && bench.system.members[1].full().is_none());
    assert_eq!(bench.system.obey(Wish::Stop(1)), Ok(()));
}
