//! The examples do what they are there to show.

use crate::harness::Scratch;
use crate::run;

#[test]
fn hello_says_how_many_cpus_it_has() {
    let scratch = Scratch::new();
    for (cpus, line) in
        [("1", "Hello from the whole machine: 1 CPU.\n"), ("2", "Hello from the whole machine: 2 CPUs.\n")]
    {
        let finished = run(&scratch, "examples/hello", &["--cpus", cpus], &[]).run();
        finished.exits(0).prints(line);
    }
}
