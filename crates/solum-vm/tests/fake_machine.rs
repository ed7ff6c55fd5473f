//! Runs of a machine that is played by this very executable, so everything but QEMU is real: the process, the
//! sockets it inherits, the order of things.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::exit;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use solum_spec::control::{Decoder, FromMachine, Outcome, PROTOCOL, ToMachine, encode};
use solum_vm::{
    Accelerator, Boot, Console, End, Handle, Limits, Machine, Notice, Report, Streams, VmError, requests, run,
};

/// QEMU's arguments, as the stand-in gets them.
const ARGUMENTS: &str = "SOLUM_FAKE_ARGUMENTS";

// ---------------------------------------------------------------------------------------------- the tests' side

/// A kernel file that passes for a bzImage of no size at all.
fn files() -> &'static (tempfile::TempDir, PathBuf, PathBuf) {
    static FILES: OnceLock<(tempfile::TempDir, PathBuf, PathBuf)> = OnceLock::new();
    FILES.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let emulator = directory.path().join("emulator");
        let this = std::env::current_exe().unwrap();
        let script = format!(
            "#!/bin/sh\n{ARGUMENTS}=\"$*\" exec '{}' --ignored --exact --nocapture play\n",
            this.display()
        );
        fs::write(&emulator, script).unwrap();
        fs::set_permissions(&emulator, fs::Permissions::from_mode(0o755)).unwrap();
        let kernel = directory.path().join("kernel");
        let mut image = vec![0; 0x1000];
        image[0x202..0x208].copy_from_slice(b"HdrS\x0f\x02");
        fs::write(&kernel, image).unwrap();
        (directory, emulator, kernel)
    })
}

#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Bytes {
    fn taken(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

struct Played {
    result: Result<Report, VmError>,
    output: Vec<u8>,
    error: Vec<u8>,
}

impl Played {
    fn end(&self) -> &End {
        &self.result.as_ref().unwrap().end
    }
}

struct Stage {
    machine: Machine,
    limits: Limits,
    input: Option<Box<dyn Read + Send>>,
}

fn stage(scene: &str) -> Stage {
    let (_, emulator, kernel) = files();
    let mut machine = Machine::new(scene, kernel, kernel);
    machine.emulator = emulator.clone();
    machine.console = Console::Streams;
    // A loaded machine may take its time; whoever wants to see a limit sets it.
    let hour = Duration::from_secs(3600);
    Stage { machine, limits: Limits { timeout: None, silence: Some(hour), stop: hour }, input: None }
}

impl Stage {
    fn play(self) -> Played {
        self.play_with(|_, _| {})
    }

    fn play_with(self, mut react: impl FnMut(&Handle, &FromMachine)) -> Played {
        let (output, error) = (Bytes::default(), Bytes::default());
        let streams =
            Streams { input: self.input, output: Box::new(output.clone()), error: Box::new(error.clone()) };
        let (handle, requests) = requests().unwrap();
        let result = run(&self.machine, self.limits, streams, requests, &mut |notice| {
            if let Notice::Message(message) = notice {
                react(&handle, message);
            }
        });
        Played { result, output: output.taken(), error: error.taken() }
    }
}

#[test]
fn status_and_streams_arrive_apart_and_unchanged() {
    let played = stage("exits").play();
    assert_eq!(played.end(), &End::Program(Outcome::Exited(7)));
    assert_eq!(played.output, b"out\r\n\0\xff");
    assert_eq!(played.error, b"err\n");
    let report = played.result.unwrap();
    assert!(report.durations.hello <= report.durations.started);
    assert_eq!(report.kernel_log, ["[    0.1] booting", "a last line"]);
}

#[test]
fn what_was_held_back_is_waited_for() {
    let played = stage("holds-back").play();
    assert_eq!(played.end(), &End::Program(Outcome::Exited(0)));
    assert_eq!(played.output, b"earlylate");
}

#[test]
fn more_output_than_is_ever_queued() {
    let played = stage("floods").play();
    assert_eq!(played.output.len(), FLOOD);
    assert!(played.output.iter().enumerate().all(|(at, &byte)| byte == (at % 251) as u8));
}

#[test]
fn input_reaches_the_program_and_ends() {
    let text = "some input".repeat(10_000);
    let input: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(text.clone().into_bytes()));
    let played = Stage { input: Some(input), ..stage("echoes") }.play();
    assert_eq!(played.end(), &End::Program(Outcome::Exited(0)));
    assert_eq!(played.output, text.as_bytes());
    assert_eq!(stage("echoes").play().output, b"", "no input is an empty input");
}

#[test]
fn a_terminal_goes_over_the_emulators_own_streams() {
    let mut stage = stage("terminal");
    stage.machine.console = Console::Terminal;
    stage.input = Some(Box::new(&b"typed"[..]));
    let played = stage.play();
    assert_eq!(played.end(), &End::Program(Outcome::Exited(0)));
    assert!(played.output.ends_with(b"typed\x04\x04"), "{:?}", String::from_utf8_lossy(&played.output));
}

#[test]
fn a_panic_is_told_in_the_kernels_words() {
    let played = stage("panics").play();
    assert_eq!(played.end(), &End::KernelPanic("Attempted to kill init! exitcode=0x00000100".into()));
    assert_eq!(played.result.unwrap().kernel_log.len(), 2);
}

#[test]
fn a_shortage_of_memory_is_told_from_other_panics() {
    let played = stage("starves").play();
    let End::MemoryTooSmall(text) = played.end() else { panic!("{:?}", played.end()) };
    assert!(text.starts_with("System is deadlocked on memory"), "{text}");
}

#[test]
fn a_refusal_shows_qemus_own_words() {
    let played = stage("refuses").play();
    let error = played.result.unwrap_err();
    assert_eq!(
        error.to_string(),
        "QEMU refused the machine: -m 1X: Parameter 'size' expects a size; and more"
    );
}

#[test]
fn ends_that_nobody_explains() {
    for (scene, end) in [
        ("vanishes", End::Vanished),
        ("babbles", End::Garbled),
        ("speaks-another-version", End::OtherProtocol(PROTOCOL + 1)),
    ] {
        assert_eq!(stage(scene).play().end(), &end, "{scene}");
    }
}

#[test]
fn a_start_that_makes_no_progress_ends() {
    for (accelerator, hint) in
        [(Accelerator::Kvm, "try --accel tcg"), (Accelerator::Tcg, "--verbose shows how far the kernel gets")]
    {
        let mut stage = stage("hangs");
        stage.limits.silence = Some(Duration::ZERO);
        stage.machine.accelerator = accelerator;
        let played = stage.play();
        assert_eq!(played.end(), &End::NoProgress(Duration::ZERO, accelerator));
        let given = played.end().hint().unwrap();
        assert!(given.starts_with(hint), "{given}");
        assert_eq!(given.contains("kvm"), accelerator == Accelerator::Kvm, "{given}");
    }
}

#[test]
fn a_request_to_stop_reaches_the_program() {
    let played = stage("stops").play_with(|handle, message| {
        if *message == FromMachine::Started {
            handle.stop();
        }
    });
    assert_eq!(played.end(), &End::Program(Outcome::Signaled { signal: 15, after_grace: false }));
}

#[test]
fn signals_and_sizes_reach_the_program_before_a_stop() {
    let played = stage("obeys").play_with(|handle, message| {
        if *message == FromMachine::Started {
            handle.resize(24, 80);
            handle.signal(10);
            handle.stop();
        }
    });
    let expected = [ToMachine::Resize { rows: 24, columns: 80 }, ToMachine::Signal(10), ToMachine::Stop];
    assert_eq!(String::from_utf8(played.output).unwrap(), format!("{expected:?}"));
}

#[test]
fn a_machine_without_init_gets_its_power_button_pressed() {
    let (handle, requests) = requests().unwrap();
    handle.stop();
    let Stage { machine, limits, .. } = stage("has-a-power-button");
    let streams =
        Streams { input: None, output: Box::new(Bytes::default()), error: Box::new(Bytes::default()) };
    let report = run(&machine, limits, streams, requests, &mut |_| {}).unwrap();
    assert_eq!(report.end, End::Stopped);
}

#[test]
fn a_machine_that_does_not_stop_is_ended() {
    let mut stage = stage("ignores");
    stage.limits.stop = Duration::ZERO;
    let played = stage.play_with(|handle, message| {
        if *message == FromMachine::Started {
            handle.stop();
        }
    });
    assert_eq!(played.end(), &End::Stopped);
}

#[test]
fn force_and_time_limit() {
    let killed = stage("ignores").play_with(|handle, message| {
        if *message == FromMachine::Started {
            handle.kill();
        }
    });
    assert_eq!(killed.end(), &End::Killed);
    let mut stage = stage("stops");
    stage.limits.timeout = Some(Duration::ZERO);
    assert_eq!(stage.play().end(), &End::TimedOut(Duration::ZERO));
}

#[test]
fn what_is_missing_is_found_before_the_start() {
    let message = |change: &dyn Fn(&mut Machine)| {
        let mut stage = stage("exits");
        change(&mut stage.machine);
        let error = stage.play().result.unwrap_err();
        (error.to_string(), error.hint().unwrap_or_default())
    };
    let (text, hint) = message(&|machine| machine.emulator = "no-such-emulator".into());
    assert_eq!(text, "the emulator no-such-emulator is not installed");
    assert!(hint.contains("apt-get install qemu-system-x86"), "{hint}");

    let (text, _) = message(&|machine| {
        machine.boot = match &machine.boot {
            Boot::Kernel { kernel, .. } => {
                Boot::Kernel { kernel: kernel.clone(), initramfs: "/no/such/initramfs".into() }
            }
            other => panic!("{other:?}"),
        }
    });
    assert!(text.starts_with("/no/such/initramfs cannot be read: "), "{text}");

    let share = || ("share0".to_owned(), "/no/such/directory:/data".parse().unwrap());
    let (text, hint) = message(&|machine| machine.shares.push(share()));
    assert!(text.starts_with("/no/such/directory cannot be shared: "), "{text}");
    assert!(hint.contains("DIR:/path"), "{hint}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (text, hint) = message(&|machine| {
        machine.network = true;
        machine.publish.push(format!("{port}:80").parse().unwrap());
    });
    assert!(text.starts_with(&format!("tcp port 127.0.0.1:{port} cannot be published: ")), "{text}");
    assert!(hint.contains("--publish"), "{hint}");

    let empty = tempfile::NamedTempFile::new().unwrap();
    let (text, hint) = message(&|machine| {
        machine.boot = Boot::Kernel { kernel: empty.path().into(), initramfs: empty.path().into() };
    });
    assert!(text.ends_with(" is an empty file, not a kernel"), "{text}");
    assert!(hint.contains("bzImage"), "{hint}");
}

// ------------------------------------------------------------------------------------------- the machine's side

const FLOOD: usize = 9 << 20;

/// Not a test of its own: the stand-in for QEMU, started by the script in [`files`].
#[test]
#[ignore = "is run by the other tests, as their machine"]
fn play() {
    if let Ok(arguments) = std::env::var(ARGUMENTS) {
        Fake::new(arguments.split_whitespace().map(str::to_owned).collect()).play();
    }
}

struct Fake {
    arguments: Vec<String>,
    control: UnixStream,
    kernel_log: UnixStream,
}

impl Fake {
    fn new(arguments: Vec<String>) -> Self {
        let control = socket(&arguments, "control").unwrap();
        let kernel_log = socket(&arguments, "kernel").unwrap();
        Self { arguments, control, kernel_log }
    }

    fn stream(&self, number: usize) -> UnixStream {
        socket(&self.arguments, &format!("stream{number}")).unwrap()
    }

    fn tell(&mut self, message: &FromMachine) {
        self.control.write_all(&encode(message)).unwrap();
    }

    fn start(&mut self) {
        self.tell(&FromMachine::Hello { protocol: PROTOCOL });
        self.tell(&FromMachine::Started);
    }

    /// Says how the program ended, waits for the host to hang up, and is gone.
    fn end(&mut self, outcome: Outcome) -> ! {
        self.tell(&FromMachine::Ended(outcome));
        while self.hear().is_some() {}
        exit(0);
    }

    /// The next message of the host; `None` when it hung up.
    fn hear(&mut self) -> Option<ToMachine> {
        let mut decoder = Decoder::new();
        let mut byte = [0];
        while self.control.read(&mut byte).unwrap() == 1 {
            decoder.push(&byte);
            if let Some(message) = decoder.decode().unwrap() {
                return Some(message);
            }
        }
        None
    }

    fn play(mut self) -> ! {
        let name = self.arguments.iter().position(|word| word == "-name").unwrap();
        let scene = self.arguments[name + 1].trim_start_matches("solum-").to_owned();
        let monitor = socket(&self.arguments, "monitor").unwrap();
        let held_back = if scene == "holds-back" { vec![(self.stream(1), &b"late"[..])] } else { Vec::new() };
        std::thread::spawn(move || answer(&monitor, held_back));
        match scene.as_str() {
            "exits" => self.exits(),
            "holds-back" => {
                self.start();
                self.stream(1).write_all(b"early").unwrap();
                self.end(Outcome::Exited(0))
            }
            "floods" => {
                self.start();
                let bytes: Vec<u8> = (0..FLOOD).map(|at| (at % 251) as u8).collect();
                self.stream(1).write_all(&bytes).unwrap();
                self.end(Outcome::Exited(0))
            }
            "echoes" => {
                self.start();
                std::io::copy(&mut self.stream(0), &mut self.stream(1)).unwrap();
                self.end(Outcome::Exited(0))
            }
            "terminal" => self.terminal(),
            "panics" => self.log(
                "one\n[    1.5] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\r\n",
            ),
            "starves" => self.log("Kernel panic - not syncing: System is deadlocked on memory\n"),
            "refuses" => {
                eprintln!("qemu: -m 1X: Parameter 'size' expects a size\n\nqemu: and more");
                exit(1)
            }
            "vanishes" => {
                self.start();
                exit(0)
            }
            "babbles" => {
                self.control.write_all(&[0xff; 64]).unwrap();
                wait_for_ever()
            }
            "speaks-another-version" => {
                self.tell(&FromMachine::Hello { protocol: PROTOCOL + 1 });
                wait_for_ever()
            }
            "stops" => {
                self.start();
                assert_eq!(self.hear(), Some(ToMachine::Stop));
                self.end(Outcome::Signaled { signal: 15, after_grace: false })
            }
            "obeys" => {
                self.start();
                let heard = [self.hear().unwrap(), self.hear().unwrap(), self.hear().unwrap()];
                self.stream(1).write_all(format!("{heard:?}").as_bytes()).unwrap();
                self.end(Outcome::Exited(0))
            }
            "ignores" => {
                self.start();
                wait_for_ever()
            }
            _ => wait_for_ever(),
        }
    }

    fn exits(&mut self) -> ! {
        self.kernel_log.write_all(b"[    0.1] booting\r\na last ").unwrap();
        self.start();
        self.stream(1).write_all(b"out\r\n\0\xff").unwrap();
        self.stream(2).write_all(b"err\n").unwrap();
        self.kernel_log.write_all(b"line").unwrap();
        self.end(Outcome::Exited(7))
    }

    /// Echoes until the end of input that a terminal in canonical mode would take as such.
    fn terminal(&mut self) -> ! {
        self.start();
        let mut typed = Vec::new();
        while !typed.ends_with(b"\x04\x04") {
            let mut byte = [0];
            std::io::stdin().read_exact(&mut byte).unwrap();
            typed.push(byte[0]);
        }
        std::io::stdout().write_all(&typed).unwrap();
        std::io::stdout().flush().unwrap();
        self.end(Outcome::Exited(0))
    }

    fn log(&mut self, text: &str) -> ! {
        self.kernel_log.write_all(text.as_bytes()).unwrap();
        exit(0)
    }
}

fn wait_for_ever() -> ! {
    loop {
        std::thread::park();
    }
}

/// Answers each command; `held_back` is written before the third answer, as QEMU does when it finds room.
fn answer(monitor: &UnixStream, mut held_back: Vec<(UnixStream, &[u8])>) {
    let mut writer = monitor;
    writer.write_all(b"{\"QMP\": {}}\r\n").unwrap();
    for (number, line) in BufReader::new(monitor).lines().map_while(Result::ok).enumerate() {
        if line.contains("system_powerdown") {
            exit(0);
        }
        if number == 2 {
            for (mut stream, bytes) in held_back.drain(..) {
                stream.write_all(bytes).unwrap();
            }
        }
        writer.write_all(b"{\"return\": {}}\r\n").unwrap();
    }
}

fn socket(arguments: &[String], id: &str) -> Option<UnixStream> {
    let prefix = format!("socket,id={id},fd=");
    let number: RawFd = arguments.iter().find_map(|word| word.strip_prefix(&prefix))?.parse().ok()?;
    // SAFETY: the descriptor was inherited for this purpose, and nothing here ever closes it.
    let inherited = unsafe { BorrowedFd::borrow_raw(number) };
    Some(inherited.try_clone_to_owned().unwrap().into())
}
