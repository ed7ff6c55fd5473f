//! Programs in other languages than Rust.

use std::process::Command;

use crate::harness::Scratch;
use crate::run;

#[test]
fn a_static_go_program() {
    let scratch = Scratch::new();
    scratch.file("go.mod", "module hello\n\ngo 1.18\n");
    scratch.file(
        "main.go",
        "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\nfunc main() {\n\tfmt.Println(\"Hello from Go,\", os.Args[1])\n\tos.Exit(5)\n}\n",
    );
    let build = Command::new("go")
        .args(["build", "-o", "program"])
        .current_dir(scratch.path(""))
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=mod")
        .env("GOCACHE", scratch.path("cache"))
        .output();
    let Ok(build) = build else {
        println!("skipped: go is not installed");
        return;
    };
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let finished = run(&scratch, "[SCRATCH]/program", &[], &["gopher"]).run();
    finished.exits(5).prints("Hello from Go, gopher\n").says("");
}

#[test]
fn a_static_c_program() {
    let scratch = Scratch::new();
    scratch.file(
        "main.c",
        "#include <stdio.h>\nint main(int c, char **v) { printf(\"Hello from C, %s\\n\", v[c - 1]); return 6; }\n",
    );
    let build = Command::new("cc")
        .args(["-static", "-o", "program", "main.c"])
        .current_dir(scratch.path(""))
        .output();
    let Ok(build) = build else {
        println!("skipped: there is no C compiler");
        return;
    };
    if !build.status.success() {
        println!("skipped: this C compiler cannot link statically");
        return;
    }
    let finished = run(&scratch, "[SCRATCH]/program", &[], &["you"]).run();
    finished.exits(6).prints("Hello from C, you\n").says("");
}
