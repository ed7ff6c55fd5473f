//! A headless Chromium, driven by its own protocol over two pipes: no port, no other program, no waiting by the clock.

use serde_json::{Value, json};
use solum_sim::timeline::Timeline;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A page that is open.
pub struct Browser {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    requests: u64,
    /// What the page did by itself, in its order.
    events: Vec<Value>,
    /// The address of the page.
    pub address: String,
    directory: tempfile::TempDir,
}

/// What is not there, if a test with a browser cannot run.
pub fn is_missing() -> bool {
    let is_there = |dir: &Path| dir.join("chromium").is_file();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_missing = !std::env::split_paths(&path).any(|dir| is_there(&dir));
    if is_missing {
        println!("skipped: chromium is not installed");
    }
    is_missing
}

impl Browser {
    /// Opens a run, with this at the end of its address.
    pub fn open(run: &Timeline, hash: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("run.html");
        std::fs::write(&file, run.to_html()).expect("the page is written");
        let mut process = launch(directory.path());
        let to = process.stdin.take().expect("a pipe to it");
        let from = BufReader::new(process.stdout.take().expect("a pipe from it"));
        let address = format!("file://{}", file.display());
        let mut browser =
            Self { process, to, from, session: None, requests: 0, events: Vec::new(), address, directory };
        browser.attach();
        browser.go(hash);
        browser
    }

    fn attach(&mut self) {
        let target = self.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attached =
            self.ask("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.ask(&format!("{domain}.enable"), json!({}));
        }
        let size = json!({ "width": 1400, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", size);
        self.scheme("light");
    }

    /// Chooses `light` or `dark`.
    pub fn scheme(&mut self, scheme: &str) {
        let colours = json!({ "name": "prefers-color-scheme", "value": scheme });
        // Without animations what was asked for is seen in the next frame.
        let still = json!({ "name": "prefers-reduced-motion", "value": "reduce" });
        self.ask("Emulation.setEmulatedMedia", json!({ "features": [colours, still] }));
    }

    fn go(&mut self, hash: &str) {
        let url = format!("{}{hash}", self.address);
        self.ask("Page.navigate", json!({ "url": url }));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let message = self.read();
            self.events.push(message);
        }
        self.frame();
    }

    /// Sends a command, and returns its result.
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        let id = self.requests;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).expect("chromium reads");
        loop {
            let message = self.read();
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    /// Like `ask`, but of the browser and not of the page.
    pub fn ask_browser(&mut self, method: &str, params: Value) {
        let session = self.session.take();
        self.ask(method, params);
        self.session = session;
    }

    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).expect("chromium writes");
        assert_eq!(bytes.pop(), Some(0), "chromium is gone");
        serde_json::from_slice(&bytes).expect("chromium writes JSON")
    }

    /// The value of an expression in the page, awaited.
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.ask("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Lets the page draw what is due.
    pub fn frame(&mut self) {
        self.eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))");
    }

    /// Lets the page draw until this holds; frames are counted, so that what never holds is told.
    pub fn until(&mut self, condition: &str) {
        let script = format!(
            "new Promise(done => {{ let left = 600; const look = () => ({condition}) || --left === 0 \
             ? done(left > 0) : requestAnimationFrame(look); look(); }})"
        );
        assert_eq!(self.eval(&script), true, "it never came: {condition}");
    }

    /// The text of the elements that a selector finds.
    pub fn texts(&mut self, selector: &str) -> Vec<String> {
        let found = self.eval(&format!("[...document.querySelectorAll({selector:?})].map(e => e.innerText)"));
        serde_json::from_value(found).expect("texts")
    }

    /// The text of the one element that a selector finds.
    pub fn text(&mut self, selector: &str) -> String {
        let mut texts = self.texts(selector);
        assert_eq!(texts.len(), 1, "{selector}");
        texts.remove(0)
    }

    /// What part of the run is seen, in nanoseconds.
    pub fn visible(&mut self) -> (f64, f64) {
        let visible = self.eval("solumTimeline.visible()");
        (visible["from_ns"].as_f64().expect("a number"), visible["to_ns"].as_f64().expect("a number"))
    }

    /// Where an item is drawn, in pixels of the window.
    pub fn place(&mut self, label: &str) -> (f64, f64) {
        let place = self.eval(&format!("solumTimeline.place({label:?})"));
        assert!(!place.is_null(), "{label} is not in sight");
        (place["x"].as_f64().expect("a number"), place["y"].as_f64().expect("a number"))
    }

    /// Where the middle of an element is.
    pub fn middle(&mut self, selector: &str) -> (f64, f64) {
        let script = format!(
            "(() => {{ const b = document.querySelector({selector:?}).getBoundingClientRect(); \
             return [b.left + b.width / 2, b.top + b.height / 2]; }})()"
        );
        serde_json::from_value(self.eval(&script)).expect("two numbers")
    }

    fn mouse(&mut self, kind: &str, (x, y): (f64, f64), more: Value) {
        let mut params = json!({ "type": kind, "x": x, "y": y });
        for (name, value) in more.as_object().into_iter().flatten() {
            params[name] = value.clone();
        }
        self.ask("Input.dispatchMouseEvent", params);
    }

    /// Moves the pointer.
    pub fn hover(&mut self, at: (f64, f64)) {
        self.mouse("mouseMoved", at, json!({}));
        self.frame();
    }

    /// Presses and releases the left button.
    pub fn click(&mut self, at: (f64, f64)) {
        self.drag(at, at);
    }

    /// Takes hold in one place, and lets go in another.
    pub fn drag(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.mouse("mouseMoved", from, json!({}));
        self.mouse("mousePressed", from, json!({ "button": "left", "buttons": 1, "clickCount": 1 }));
        self.mouse("mouseMoved", to, json!({ "button": "left", "buttons": 1 }));
        self.mouse("mouseReleased", to, json!({ "button": "left", "clickCount": 1 }));
        self.frame();
    }

    /// Turns the wheel, towards oneself when positive.
    pub fn wheel(&mut self, at: (f64, f64), delta: f64) {
        self.mouse("mouseWheel", at, json!({ "deltaX": 0, "deltaY": delta }));
        self.frame();
    }

    /// Presses a key; Shift is one bit of the modifiers.
    pub fn key(&mut self, key: &str, has_shift: bool) {
        let text = match key {
            "Enter" => "\r",
            one if one.len() == 1 => one,
            _ => "",
        };
        let modifiers = if has_shift { 8 } else { 0 };
        // What the browser itself does upon a key goes by its old number.
        let number = if key == "Escape" { 27 } else { 0 };
        let down = json!({ "type": "keyDown", "key": key, "code": key, "text": text, "modifiers": modifiers, "windowsVirtualKeyCode": number });
        self.ask("Input.dispatchKeyEvent", down);
        self.ask("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key, "modifiers": modifiers }));
        self.frame();
    }

    /// Writes into what has the focus.
    pub fn write(&mut self, text: &str) {
        self.ask("Input.insertText", json!({ "text": text }));
        self.frame();
    }

    /// Nothing went wrong in the page, and it asked for nothing but itself.
    pub fn assert_quiet(&mut self) {
        self.frame();
        let bad = [
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
            "Log.entryAdded",
            "Page.javascriptDialogOpening",
        ];
        let complaints: Vec<&Value> =
            self.events.iter().filter(|event| bad.iter().any(|bad| event["method"] == *bad)).collect();
        assert!(complaints.is_empty(), "{complaints:?}");
        let requests = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        let asked: Vec<&Value> = requests.map(|event| &event["params"]["request"]["url"]).collect();
        assert_eq!(asked, [&json!(self.address)]);
    }
}

/// Descriptors 3 and 4 are where Chromium looks for its pipes; a shell puts them there without unsafe code.
fn launch(directory: &Path) -> Child {
    let script = "exec chromium \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null";
    Command::new("sh")
        .args(["-c", script, "chromium", "--headless", "--remote-debugging-pipe", "--disable-gpu"])
        // The sandbox wants privileges that neither root nor a container has; the page is our own.
        .args([
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .arg(format!("--user-data-dir={}", directory.join("profile").display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh starts")
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends by itself when its pipe closes, but not before it has written its profile; nobody needs that.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = &self.directory;
    }
}
