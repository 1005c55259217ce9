//! Children that do not do what they should; they are shell scripts. What the
//! real one does is tested with the binary, from outside.

use super::*;

/// What comes of a component that this script compiles.
fn compiled_by(script: &str, limits: CompileLimits) -> Result<Code, LoadError> {
    let program = WorkerProgram {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: Vec::new(),
    };
    let compiler = Compiler::in_child(program, limits, NonZeroUsize::MIN);
    let engine = Engine::default();
    // More than fits into a pipe.
    compiler.compile(&engine, &vec![0; 1 << 20])
}

fn error_of(script: &str) -> (&'static str, String) {
    let limits = CompileLimits {
        wall: Duration::from_secs(60),
        output_bytes: 1_000,
        ..CompileLimits::default()
    };
    let error = compiled_by(script, limits).err().expect(script);
    (error.code(), error.to_string())
}

#[test]
fn an_answer_is_code_or_a_reason() {
    let code = compiled_by("cat >/dev/null; printf +abc", CompileLimits::default());
    assert_eq!(code.expect("code").as_bytes(), b"abc");
    let (code, message) = error_of("cat >/dev/null; printf -- '-no\\nsuch thing'");
    assert_eq!(code, "malformed");
    assert!(message.ends_with("no such thing"), "{message}");
    // Whoever does not read what it is given can answer all the same.
    assert_eq!(error_of("printf -- -no").0, "malformed");
}

#[test]
fn however_a_child_ends_there_is_a_word_for_it() {
    for (script, code, part) in [
        ("kill -XCPU $$", "limit.compile-time", "180s of processors"),
        ("kill -KILL $$", "limit.compile-memory", "bytes of memory"),
        (
            "echo 'memory allocation of 123 bytes failed' >&2; kill -ABRT $$",
            "limit.compile-memory",
            "4294967296 bytes",
        ),
        (
            "printf -- '-mmap: Cannot allocate memory (os error 12)'",
            "limit.compile-memory",
            "bytes of memory",
        ),
        ("kill -SEGV $$", "compiler", "signal: 11"),
        ("echo one >&2; echo two >&2; exit 3", "compiler", "3: two"),
        ("exit 0", "compiler", "status: 0"),
        ("printf x", "compiler", "status: 0"),
        // Code from one that failed is not taken.
        ("printf +abc; exit 1", "compiler", "status: 1"),
        ("yes", "limit.compiled-size", "more than 1000 bytes"),
        (
            "head -c 1000000 /dev/zero >&2; echo end >&2; exit 1",
            "compiler",
            "status: 1",
        ),
    ] {
        let (found, message) = error_of(script);
        assert_eq!(found, code, "{script}: {message}");
        assert!(message.contains(part), "{script}: {message}");
    }
}

#[test]
fn a_child_that_takes_too_long_is_killed_with_its_own_children() {
    let limits = CompileLimits {
        wall: Duration::from_millis(300),
        ..CompileLimits::default()
    };
    // The second has said all that it has to say, and stays; the third has a
    // child that keeps its pipes open.
    for script in ["sleep 1000", "exec >&-; sleep 1000", "sleep 1000 & exit 0"] {
        let error = compiled_by(script, limits).err().expect(script);
        assert_eq!(error.code(), "limit.compile-time", "{script}: {error}");
    }
}

#[test]
fn a_child_gets_nothing_of_ours() {
    let (_, message) = error_of("printf -- '-[%s]' \"$(cat /proc/$$/environ)\"");
    assert!(message.ends_with("[]"), "{message}");
    let (_, message) = error_of("printf -- '-[%s]' \"$(pwd)\"");
    assert!(message.ends_with("[/]"), "{message}");
    let nowhere = WorkerProgram {
        program: "/nowhere/faultline".into(),
        arguments: Vec::new(),
        environment: Vec::new(),
    };
    let compiler = Compiler::in_child(nowhere, CompileLimits::default(), NonZeroUsize::MIN);
    let error = compiler.compile(&Engine::default(), b"").err();
    let message = error.expect("is not there").to_string();
    assert!(message.contains("/nowhere/faultline"), "{message}");
}

#[test]
fn those_that_wait_get_their_turn() {
    let program = WorkerProgram {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), "printf +abc".into()],
        environment: Vec::new(),
    };
    let two = NonZeroUsize::MIN.saturating_add(1);
    let compiler = Compiler::in_child(program, CompileLimits::default(), two);
    let engine = Engine::default();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(compiler.compile(&engine, b"").is_ok()));
        }
    });
}
