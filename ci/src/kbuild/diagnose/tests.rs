// SPDX-License-Identifier: GPL-2.0-only

//! Logs as the tools write them, and what is made of them.

use super::*;

/// A tree with a few sources, and a log's `@S` and `@O` replaced by its directories.
struct Lab {
    _guard: tempfile::TempDir,
    source: Utf8PathBuf,
    out: Utf8PathBuf,
}

impl Lab {
    fn new() -> Self {
        let guard = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(guard.path()).unwrap().to_owned();
        for file in ["drivers/vfio/pci/vfio_pci.c", "drivers/vfio/pci/live.rs", "init/main.c"] {
            let path = root.join("src").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        Self { _guard: guard, source: root.join("src"), out: root.join("out") }
    }

    fn dirs(&self) -> Dirs<'_> {
        Dirs { source: &self.source, out: &self.out }
    }

    fn errors(&self, log: &str) -> String {
        let log = log.replace("@S", self.source.as_str()).replace("@O", self.out.as_str());
        errors(&log, self.dirs()).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    fn warnings(&self, log: &str) -> String {
        let log = log.replace("@S", self.source.as_str()).replace("@O", self.out.as_str());
        warnings(&log, self.dirs()).join("\n")
    }
}

#[test]
fn clang() {
    let log = "  CC      init/main.o\n\
        @S/init/main.c:12:5: error: use of undeclared identifier 'x'\n   12 |     x = 1;\n      |     ^\n\
        ../src/drivers/vfio/pci/vfio_pci.c:3:10: fatal error: 'linux/kho.h' file not found\n\
        In file included from @S/init/main.c:4:\n\
        ./include/generated/autoconf.h:7:2: error: #error no\n\
        2 errors generated.\n\
        make[4]: *** [@S/scripts/Makefile.build:289: init/main.o] Error 1\nmake: *** [Makefile:248: __sub-make] Error 2\n";
    insta::assert_snapshot!(Lab::new().errors(log), @"
    init/main.c:12:5: error: use of undeclared identifier 'x'
    drivers/vfio/pci/vfio_pci.c:3:10: error: 'linux/kho.h' file not found
    include/generated/autoconf.h:7:2: error: #error no
    ");
}

#[test]
fn rustc() {
    let log = "error[E0425]: cannot find function `foo` in this scope\n  --> @S/drivers/vfio/pci/live.rs:10:5\n   |\n\
        10 |     foo();\n   |     ^^^ not found\n\n\
        error: expected `;`, found `}`\n --> drivers/vfio/pci/live.rs:14:9\n\n\
        error: aborting due to 2 previous errors\n\nFor more information about this error, try `rustc --explain E0425`.\n\
        make[4]: *** [../src/scripts/Makefile.build:349: drivers/vfio/pci/live.o] Error 1\n";
    insta::assert_snapshot!(Lab::new().errors(log), @"
    drivers/vfio/pci/live.rs:10:5: error: cannot find function `foo` in this scope [E0425]
    drivers/vfio/pci/live.rs:14:9: error: expected `;`, found `}`
    ");
}

#[test]
fn bindgen_quotes_clang() {
    let log = "Unable to generate bindings: clang diagnosed error: @S/rust/bindings/bindings_helper.h:9:10: fatal error: \
               'linux/nothing.h' file not found\n";
    let said = "rust/bindings/bindings_helper.h:9:10: error: 'linux/nothing.h' file not found";
    assert_eq!(Lab::new().errors(log), said);
    let older = "thread 'main' panicked: ClangDiagnostic(\"@S/rust/bindings/bindings_helper.h:9:10: error: 'linux/nothing.h' \
                 file not found\")\n";
    assert_eq!(Lab::new().errors(older), said);
}

#[test]
fn linkers() {
    let log = "ld.lld-19: error: undefined symbol: luo_nothing\n\
        >>> referenced by vfio_pci.c:12 (@S/drivers/vfio/pci/vfio_pci.c:12)\n\
        >>>               drivers/vfio/pci/vfio_pci.o:(vfio_pci_init) in archive vmlinux.a\n\n\
        ld.lld-19: error: undefined symbol: rust_nothing\n>>> referenced by live.e0b7ee4f-cgu.0\n\
        >>>               drivers/vfio/pci/live.o:(register) in archive vmlinux.a\n\
        ld.lld-19: error: duplicate symbol: twice\n>>> defined at vmlinux.o\n\
        ERROR: modpost: \"hidden\" [drivers/vfio/pci/vfio_pci.ko] undefined!\n";
    insta::assert_snapshot!(Lab::new().errors(log), @r#"
    drivers/vfio/pci/vfio_pci.c:12: error: undefined symbol: luo_nothing
    drivers/vfio/pci/live.rs: error: undefined symbol: rust_nothing
    error: duplicate symbol: twice
    drivers/vfio/pci/vfio_pci.c: error: modpost: "hidden" [drivers/vfio/pci/vfio_pci.ko] undefined!
    "#);
}

#[test]
fn make_and_kconfig() {
    let log = "@S/drivers/vfio/pci/Makefile:7: *** missing separator.  Stop.\n\
        make[5]: *** No rule to make target 'drivers/vfio/pci/gone.o', needed by 'drivers/vfio/pci/built-in.a'.  Stop.\n\
        make[2]: *** [@S/Makefile:2120: .] Error 2\n\
        drivers/vfio/pci/Kconfig:12: syntax error\n\
        drivers/vfio/Kconfig:3:error: recursive dependency detected!\n\
        .config.next:1429:warning: override: reassigning to symbol ACPI\n\
        drivers/vfio/Kconfig:9:warning: ignoring type redefinition\n";
    insta::assert_snapshot!(Lab::new().errors(log), @"
    drivers/vfio/pci/Makefile:7: error: missing separator.
    error: No rule to make target 'drivers/vfio/pci/gone.o', needed by 'drivers/vfio/pci/built-in.a'.
    drivers/vfio/pci/Kconfig:12: error: syntax error
    drivers/vfio/Kconfig:3: error: recursive dependency detected!
    ");
}

#[test]
fn objtool() {
    insta::assert_snapshot!(
        Lab::new().errors("drivers/vfio/pci/live.o: error: objtool: f+0x5: unreachable\nerror: objtool: vmlinux: broken\n"),
        @"
    drivers/vfio/pci/live.o: error: objtool: f+0x5: unreachable
    error: objtool: vmlinux: broken
    "
    );
}

#[test]
fn an_unknown_failure_shows_the_end_of_the_log() {
    let log: String = (0..40).map(|number| format!("  CC      @S/f{number}.o\n")).collect();
    let text = Lab::new().errors(&(log + "Killed\n"));
    assert!(text.starts_with("error: the build failed; its last lines:\n      CC      f26.o\n"), "{text}");
    assert!(text.ends_with("\n    Killed"), "{text}");
}

#[test]
fn the_same_error_in_two_objects_is_one() {
    let line = "@S/include/linux/kho.h:4:1: error: unknown type name 'u33'\n";
    assert_eq!(Lab::new().errors(&format!("{line}  CC  a.o\n{line}")).lines().count(), 1);
}

#[test]
fn warnings_are_comparable() {
    let log = "Warning: @S/lib/rhashtable.c:1167 function parameter 'key' not described in '__rhashtable_init'\n\
        ../src/init/main.c:8:6: warning: unused variable 'x' [-Wunused-variable]\n    8 |     int x;\n\
        warning: unused import: `Foo`\n --> @S/drivers/vfio/pci/live.rs:2:5\n\
        Symbol _RINv too long for kallsyms (648 >= 512).\nPlease increase KSYM_NAME_LEN both in kernel and kallsyms.c\n\
        1 warning generated.\nwarning: 1 warning emitted\n\
        vmlinux.o: warning: objtool: f() falls through to next function g()\n\
        @S/init/main.c:8:6: warning: unused variable 'x' [-Wunused-variable]\n";
    insta::assert_snapshot!(Lab::new().warnings(log), @"
    drivers/vfio/pci/live.rs:2:5: warning: unused import: `Foo`
    init/main.c:8:6: warning: unused variable 'x' [-Wunused-variable]
    vmlinux.o: warning: objtool: f() falls through to next function g()
    warning: lib/rhashtable.c:1167 function parameter 'key' not described in '__rhashtable_init'
    ");
}
