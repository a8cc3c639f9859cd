// SPDX-License-Identifier: GPL-2.0-only

//! Changes of headers, and a slip that Linux 7.3 has.

use super::*;
use crate::check::testing::Small;

const PATH: &str = "include/linux/kho/abi/x.h";

const HEADER: &str = "#ifndef X_H
#define X_H
/**
 * DOC: x
 *	compatible = \"x-v1\";
 * Root: compatible: \"x-v1\"
 */
#define X_COMPATIBLE \"x-v1\"
#define X_NODE \"node\"
#define X_MASK (1 | \\
		2)
#define X_STORE(a) (a)
/* struct comment { int a; }; */
struct x_ser {
	u32 a; /* first */
	union {
		u32 b;
	};
} __packed;
static_assert(sizeof(struct x_ser) == 8);
#endif
";

fn found(old: &str, new: &str) -> Vec<String> {
    let small = Small::new();
    let found = small.run("abi", &small.subject(&[(PATH, old)], &[(PATH, new)]));
    found.iter().map(|one| format!("{}: {}", one.line.unwrap_or(0), one.message)).collect()
}

fn with(from: &str, to: &str) -> String {
    assert!(HEADER.contains(from));
    HEADER.replace(from, to)
}

#[test]
fn what_does_not_change_the_abi() {
    for new in [
        with("/* first */", "/* the first one */"),
        with("\tu32 a;", "\n\tu32  a;"),
        with("(a) (a)", "(a) (a + 1)"),
        with("#endif", "#define X_NEW 1\nstruct x_more {\n\tu8 c;\n};\n#endif"),
    ] {
        assert_eq!(found(HEADER, &new), [""; 0], "{new}");
    }
}

#[test]
fn every_change_wants_a_step() {
    insta::assert_snapshot!(found(HEADER, &with("u32 a", "u64 a")).join("\n"), @"14: `struct x_ser` changes without a step of any version");
    insta::assert_snapshot!(found(HEADER, &with("\"node\"", "\"knot\"")).join("\n"), @"9: `X_NODE` changes without a step of any version");
    insta::assert_snapshot!(found(HEADER, &with("\t\t2)", "\t\t4)")).join("\n"), @"10: `X_MASK` changes without a step of any version");
    insta::assert_snapshot!(found(HEADER, &with("#define X_NODE \"node\"\n", "")).join("\n"), @"0: `X_NODE` goes without a step of any version");
    let small = Small::new();
    let fix = small.run("abi", &small.subject(&[(PATH, HEADER)], &[(PATH, &with("u32 a", "u64 a"))])).remove(0).fix;
    assert_eq!(fix, "step X_COMPATIBLE, or leave the layout as it is");
}

#[test]
fn a_step_allows_it_if_it_goes_forward() {
    let to = |version: &str| with("u32 a", "u64 a").replace("x-v1", version);
    assert_eq!(found(HEADER, &to("x-v2")), [""; 0]);
    assert_eq!(found(HEADER, &to("x-running-v1")), [""; 0], "another string is another version");
    insta::assert_snapshot!(found(HEADER, &to("x-v0")).join("\n"), @r#"
    8: `X_COMPATIBLE` goes back from "x-v1" to "x-v0"
    14: `struct x_ser` changes without a step of any version
    "#);
    let numbered = |number: u32, field: &str| format!("#define Y_VERSION {number}\nstruct y {{ {field} a; }};\n");
    assert_eq!(found(&numbered(9, "u8"), &numbered(10, "u16")), [""; 0]);
    assert_eq!(found(&numbered(10, "u8"), &numbered(9, "u16")).len(), 2);
}

#[test]
fn the_version_may_be_another_headers_and_a_struct_may_move() {
    let small = Small::new();
    let other = "include/linux/kho/abi/block.h";
    let block = "/* incrementing KHO_COMPATIBLE is required */\nstruct b {\n\tu8 a;\n};\n";
    let main = "#define KHO_COMPATIBLE \"kho-v4\"\n";
    let run = |old: &[(&str, &str)], new: &[(&str, &str)]| small.run("abi", &small.subject(old, new)).len();
    let wider = block.replace("u8", "u16");
    assert_eq!(run(&[(other, block), (PATH, main)], &[(other, &wider), (PATH, main)]), 1);
    assert_eq!(
        run(&[(other, block), (PATH, main)], &[(other, &wider), (PATH, "#define KHO_COMPATIBLE \"kho-v5\"\n")]),
        0
    );
    let both = format!("{main}{block}");
    assert_eq!(run(&[(other, block), (PATH, main)], &[(PATH, &both)]), 0);
    assert_eq!(run(&[("a.c", "x\n")], &[("a.c", "x\n"), (PATH, "struct b {\n\tu8 a;\n};\n")]), 1, "nothing covers it");
}

#[test]
fn the_documentation_must_say_the_same() {
    let new = with("#define X_COMPATIBLE \"x-v1\"", "#define X_COMPATIBLE \"x-v2\"");
    insta::assert_snapshot!(found(HEADER, &new).join("\n"), @r#"
    5: documented as "x-v1", but X_COMPATIBLE is "x-v2"
    6: documented as "x-v1", but X_COMPATIBLE is "x-v2"
    "#);
    let old = new.replace("u32 b", "u32 c");
    assert_eq!(found(&new, &old).len(), 1, "what the documentation said before is not the patch's mistake");
}

/// The beginning of include/linux/kho/abi/kexec_handover.h of Linux 7.3, shortened, with its slip.
const KEXEC_HANDOVER: &str = "/* SPDX-License-Identifier: GPL-2.0-only */

/**
 * DOC: Kexec Handover ABI
 *
 * Such changes require
 * incrementing the version number in KHO_FDT_COMPATIBLE to prevent a new kernel
 * from misinterpreting data from an older kernel.
 *
 *     / {
 *         compatible = \"kho-v3\";
 *
 *         preserved-memory-map = <0x...>;
 *     };
 *
 *   Root KHO Node (/):
 *     - compatible: \"kho-v3\"
 *
 *       Identifies the overall KHO ABI version.
 */

/* The compatible string for the KHO FDT root node. */
#define KHO_FDT_COMPATIBLE \"kho-v4\"
";

#[test]
fn the_slip_of_7_3() {
    let small = Small::new();
    let tree = small.tree(&[("include/linux/kho/abi/kexec_handover.h", KEXEC_HANDOVER)]);
    let found: Vec<String> = lint_tree(&small.repo, tree).unwrap().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(found.join("\n"), @r#"
    include/linux/kho/abi/kexec_handover.h:11: documented as "kho-v3", but KHO_FDT_COMPATIBLE is "kho-v4"
      fix: make the documentation say what the macro says
    include/linux/kho/abi/kexec_handover.h:17: documented as "kho-v3", but KHO_FDT_COMPATIBLE is "kho-v4"
      fix: make the documentation say what the macro says
    "#);
}
