// SPDX-License-Identifier: GPL-2.0-only

//! A machine on which everything works and nothing is real: a search path of scripts before the usual one, and a directory that stands
//! for `/`. make makes a kernel of the texts of the tree, and QEMU is [`qemu`].
//!
//! Phase 1 has a third patch here, and hands devices over; its faults are noticed, slip through, do not build and do not apply.

use std::process::Command;

use crate::qemu;
use crate::world::World;

/// Programs that are asked for their version and nothing else.
const IDLE: [&str; 10] = ["cc", "xz", "flex", "bison", "bc", "pkg-config", "cpio", "rsync", "kmod", "bindgen"];
const LLVM: [&str; 7] = ["clang", "ld.lld", "llvm-ar", "llvm-nm", "llvm-objcopy", "llvm-strip", "llvm-readelf"];
/// Programs that find nothing to complain about.
const CONTENT: [&str; 2] = ["perl", "python3"];
/// Programs that compute.
const WORKING: [&str; 3] = ["make", "cargo", "qemu-system-x86_64"];

/// What a program says of itself.
const VERSION: &str = r#"case $1 in
--version) echo "$(basename "$0") 99.0.0"; exit ;;
-device) echo 'name "igb", bus PCI'; exit ;;
esac"#;

/// Fails at a line BROKEN, warns of a line SLOPPY; else the image is every file of the tree, and the configuration.
const MAKE: &str = r#"for arg; do
    case $arg in
    O=*) out=${arg#O=} ;;
    KCONFIG_CONFIG=*) config=${arg#KCONFIG_CONFIG=} ;;
    tinyconfig|olddefconfig|bzImage|vmlinux_a) goal=$arg ;;
    esac
done
src=$2
cd "$out" || exit 9
lines() { (cd "$src" && grep -rn "$1" --include=*.c --include=*.rs . | sed 's|^\./||'); }
case $goal in
tinyconfig) : >"$config" ;;
vmlinux_a) printf '!<arch>\n' >vmlinux.a ;;
bzImage)
    lines BROKEN | while IFS=: read -r file line text; do echo "$src/$file:$line:1: error: broken"; done
    if [ "$(lines BROKEN)" ]; then exit 2; fi
    lines SLOPPY | while IFS=: read -r file line text; do
        printf '  CC      %s\n%s:%s:1: warning: sloppy\n' "${file%.*}.o" "$src/$file" "$line"
    done
    mkdir -p arch/x86/boot
    (cd "$src" && find . -type f ! -path './.git*' | LC_ALL=C sort | xargs cat) >arch/x86/boot/bzImage
    cat .config >>arch/x86/boot/bzImage
    : >System.map ;;
esac
exit 0"#;

/// Builds the guest's init, which nobody runs.
const CARGO: &str = r#"while [ $# -gt 0 ]; do
    if [ "$1" = --target-dir ]; then out=$2; fi
    shift
done
mkdir -p "$out/x86_64-unknown-linux-gnu/guest" && echo init >"$out/x86_64-unknown-linux-gnu/guest/guest""#;

const THIRD: &str = "Subject: vfio/pci: Hand devices over
Adds: include/linux/kho/abi/vfio_pci.h

Their files are theirs again.
---
diff --git a/drivers/pci/pci.c b/drivers/pci/pci.c
--- a/drivers/pci/pci.c
+++ b/drivers/pci/pci.c
@@ -6,4 +6,5 @@
 five
 six
 seven
+SLOPPY
 eight
diff --git a/drivers/vfio/pci/Kconfig b/drivers/vfio/pci/Kconfig
--- a/drivers/vfio/pci/Kconfig
+++ b/drivers/vfio/pci/Kconfig
@@ -1,2 +1,5 @@
 config VFIO_PCI
 \tbool
+
+config VFIO_PCI_LIVEUPDATE
+\tbool
";

const FAULT: &str = "Subject: NAME
Phase: phase1
Row: 1.2
Scenario: phase1/fd-preserve
Expect: stage2-failure

Somebody slipped.
---
diff --git a/drivers/pci/pci.c b/drivers/pci/pci.c
--- a/drivers/pci/pci.c
+++ b/drivers/pci/pci.c
@@ -1,2 +1,3 @@
 one
+NAME
 two
";

pub(crate) struct Lab {
    pub(crate) world: World,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let lab = Self { world: World::without_base() };
        lab.programs();
        lab.linux();
        lab.phases();
        lab
    }

    /// The caches of several machines, each with the base.
    pub(crate) fn caches<const N: usize>(&self, names: [&'static str; N]) -> [&'static str; N] {
        for cache in names {
            let output = self.command(cache, &["base", "use", "../linux"]).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        names
    }

    /// phasectl with the cache of this name.
    pub(crate) fn command(&self, cache: &str, args: &[&str]) -> Command {
        let mut command = self.world.command(args);
        let path = format!("{}:{}", self.path("bin"), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("PHASECTL_ROOT", self.path("root")).env("PHASECTL_CACHE", self.path(cache));
        command
    }

    /// Its exit code and what it reports.
    pub(crate) fn run(&self, cache: &str, args: &[&str]) -> (i32, String) {
        let output = self.command(cache, args).output().unwrap();
        let code = output.status.code().unwrap();
        assert!(!output.stdout.is_empty() && (code == 0 || code >= 100), "{args:?}: {}", self.world.show(&output));
        (code, String::from_utf8(output.stdout).unwrap())
    }

    /// How often make, cargo and QEMU worked.
    pub(crate) fn worked(&self) -> usize {
        std::fs::read_to_string(self.world.path("worked")).map_or(0, |text| text.lines().count())
    }

    /// From now on whoever computes something fails; what there is to be known of the programs they still say.
    pub(crate) fn stop_working(&self) {
        for name in WORKING {
            self.program(&format!("bin/{name}"), "echo 'it does not work any more' >&2; exit 1");
        }
    }

    fn programs(&self) {
        for name in IDLE.into_iter().map(str::to_owned).chain(LLVM.map(|name| format!("{name}-19"))) {
            self.program(&format!("bin/{name}"), "exit 1");
        }
        for name in CONTENT {
            self.program(&format!("bin/{name}"), "exit 0");
        }
        let this = std::env::current_exe().unwrap();
        let qemu = format!(
            "{}=$(printf '%s\\n' \"$@\") exec '{}' --exact {} --ignored --nocapture",
            qemu::ARGS,
            this.to_str().unwrap(),
            qemu::TEST
        );
        for (name, body) in WORKING.into_iter().zip([MAKE, CARGO, &qemu]) {
            self.program(&format!("bin/{name}"), body);
        }
        self.program("bin/rustc", &format!("echo '{}'", self.path("root/rust")));
        for name in ["rustc", "cargo", "rustfmt", "clippy-driver"] {
            self.program(&format!("root/rust/bin/{name}"), "exit 0");
        }
        for file in [
            "rust/lib/rustlib/src/rust/library/core/src/lib.rs",
            "usr/lib/libc.a",
            "usr/lib/libclang.so.1",
            "usr/include/libelf.h",
            "usr/include/gelf.h",
            "usr/include/openssl/opensslv.h",
            "usr/include/openssl/evp.h",
            "usr/include/sys/capability.h",
            "usr/include/uuid/uuid.h",
        ] {
            self.file(&format!("root/{file}"));
        }
    }

    /// Writes a script that says its version; one that works notes that it was called otherwise, and does this. A child writes it: no file
    /// that this process holds open for writing can be executed, and other threads fork.
    fn program(&self, path: &str, body: &str) {
        let works = WORKING.iter().any(|name| path == format!("bin/{name}"));
        let note = if works { format!("echo \"$0\" >>'{}'\n", self.path("worked")) } else { String::new() };
        let text = format!("#!/bin/sh\n{VERSION}\n{note}{body}\n");
        let script = "mkdir -p \"${1%/*}\" && rm -f \"$1\" && printf %s \"$2\" >\"$1\" && chmod +x \"$1\"";
        let status = Command::new("/bin/sh").args(["-c", script, "sh", &self.path(path), &text]).status().unwrap();
        assert!(status.success());
    }

    fn file(&self, path: &str) {
        let path = self.world.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.world.path(name).to_str().unwrap().to_owned()
    }

    fn linux(&self) {
        let abi = "include/linux/kho/abi";
        for (path, text) in [
            (format!("{abi}/kexec_handover.h"), "#define KHO_FDT_COMPATIBLE \"kho-v4\"\n"),
            (format!("{abi}/luo.h"), "#define LUO_ABI_COMPATIBLE \"luo-v5\"\n"),
            (format!("{abi}/memfd.h"), "#define MEMFD_LUO_FH_COMPATIBLE \"memfd-v2\"\n"),
            ("kernel/liveupdate/Kconfig".into(), "config KEXEC_HANDOVER\nconfig LIVEUPDATE\nconfig LIVEUPDATE_MEMFD\n"),
            ("drivers/vfio/pci/Kconfig".into(), "config VFIO_PCI\n\tbool\n"),
        ] {
            self.world.put_linux(&path, text);
        }
        self.world.clone_linux();
    }

    fn phases(&self) {
        let world = &self.world;
        let options = ["KEXEC_HANDOVER", "LIVEUPDATE", "LIVEUPDATE_MEMFD", "VFIO_PCI"];
        world.put("ci/kernel.config", &options.map(|option| format!("CONFIG_{option}=y\n")).concat());
        world.put("selftests/variants.yaml", "debug: {}\n");
        world.put("phases/phase1/hand-over.patch", THIRD);
        let header = format!("#define VFIO_PCI_LUO_FH_COMPATIBLE\t\"{}\"\n", qemu::HANDLER);
        world.put("kernel/phase1/include/linux/kho/abi/vfio_pci.h", &header);
        let named = "        tests: [phase1/fd-preserve/legacy]\n";
        let third = format!("{named}      - name: hand-over\n        tests: [phase1/fd-preserve/scalable]\n");
        world.replace("phases/phase1/phase.yaml", named, &third);
        for scenario in ["matrix/handover", "harness/memfd"] {
            let path = format!("selftests/scenarios/{scenario}.yaml");
            let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
            world.put(&path, &std::fs::read_to_string(format!("{root}{path}")).unwrap());
        }
        let machines =
            world.get("selftests/topologies.yaml") + "none: { iommu: none, devices: [{ id: dut, model: igb }] }\n";
        world.put("selftests/topologies.yaml", &machines);
        std::fs::remove_file(world.path("project/selftests/faults/1.2-uncounted.patch")).unwrap();
        for name in [qemu::FAULT, "NOTHING", "BROKEN"] {
            world.put(&format!("selftests/faults/1.2-{}.patch", name.to_lowercase()), &FAULT.replace("NAME", name));
        }
        world.put("selftests/faults/1.2-lost.patch", &FAULT.replace("NAME", "LOST").replace(" two\n", " zwei\n"));
    }
}
