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
    found.iter().map(|one| format!("{}: {}", one.line, one.message)).collect()
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
    insta::assert_snapshot!(found(HEADER, &with("#define X_NODE \"node\"\n", "")).join("\n"), @"9: `X_NODE` goes without a step of any version");
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
fn a_function_swallows_nothing() {
    for function in [
        "static inline u32 x_size(void)\n{\n\tif (1) {\n\t\treturn 8;\n\t}\n\treturn 4;\n}\n",
        "static inline struct x_ser *x_of(void *data) { return data; }\n",
        "struct x_ser *x_of(void *data,\n\t\t    int n)\n{\n\treturn data;\n}\n",
        "X_CHECKS(struct x_ser)\n",
        "static const u8 x_magic[] = { 1, 2 };\n",
    ] {
        let old = with("struct x_ser {", &format!("{function}struct x_ser {{"));
        assert_eq!(found(&old, &old.replace("u32 a", "u64 a")).len(), 1, "{function}");
        assert_eq!(found(&old, &old.replace(function, "")), [""; 0], "a function is code");
    }
}

#[test]
fn what_has_no_name_is_an_item_too() {
    let of = |text: &str| with("#endif", &format!("{text}\n#endif"));
    let changed = |old: &str, new: &str| found(&of(old), &of(new)).join("\n");
    let values = "enum { A = 1, B };\nenum { C };";
    insta::assert_snapshot!(changed(values, "enum { A = 2, B };\nenum { C };"), @"21: `enum { A }` changes without a step of any version");
    insta::assert_snapshot!(changed(values, "enum { A = 1, B };"), @"22: `enum { C }` goes without a step of any version");
    let types = "typedef struct {\n\tu8 a;\n} __packed x_one;\ntypedef struct {\n\tu8 a;\n} x_two;\ntypedef u32 x_id;";
    insta::assert_snapshot!(changed(types, &types.replacen("u8 a", "u16 a", 1)), @"21: `typedef x_one` changes without a step of any version");
    insta::assert_snapshot!(changed(types, &types.replace("u32", "u64")), @"27: `typedef x_id` changes without a step of any version");
    assert_eq!(
        changed(values, &format!("{types}\nenum {{ D }};\n{values}")),
        "",
        "what is new before them moves nothing"
    );
}

#[test]
fn conditions_are_a_part_of_what_is_under_them() {
    let of = |text: &str| with("#endif", &format!("{text}\n#endif"));
    let changed = |old: &str, new: &str| found(&of(old), &of(new)).join("\n");
    let field = "struct y {\n#ifdef CONFIG_Y\n\tu8 a;\n#endif\n};";
    insta::assert_snapshot!(changed(&field.replace("#ifdef CONFIG_Y\n", "").replace("#endif\n", ""), field), @"21: `struct y` changes without a step of any version");
    insta::assert_snapshot!(changed(field, &field.replace("#ifdef", "#ifndef")), @"21: `struct y` changes without a step of any version");
    let either = "#if Y\n#define Y_MAX 1\n#else\n#define Y_MAX 2\n#endif";
    insta::assert_snapshot!(changed(either, &either.replace("MAX 1", "MAX 3")), @"22: `Y_MAX` changes without a step of any version");
    insta::assert_snapshot!(changed(either, &either.replace("MAX 2", "MAX 3")), @"24: `Y_MAX` changes without a step of any version");
    insta::assert_snapshot!(changed(either, &either.replace("#if Y", "#if Z")), @r"
    22: `Y_MAX` changes without a step of any version
    24: `Y_MAX` changes without a step of any version
    ");
    let packed = "#pragma pack(push, 1)\nstruct y { u8 a; u32 b; };\n#pragma pack(pop)\nstruct z { u8 a; };";
    insta::assert_snapshot!(changed(packed, &packed.replace("#pragma pack(push, 1)\n", "")), @"21: `struct y` changes without a step of any version");
    let guard = with("X_H", "_X_H");
    assert_eq!(found(HEADER, &guard), [""; 0], "the guard is no condition");
}

/// The rest of that header: its only layouts are what a macro makes.
const KHOSER_PTR: &str = "#define DECLARE_KHOSER_PTR(name, type)	\\
	union {                        \\
		u64 phys;              \\
		type ptr;              \\
	} name

#define KHOSER_STORE_PTR(dest, val)               \\
	({                                        \\
		(dest).phys = virt_to_phys(val);  \\
	})

struct kho_vmalloc_hdr {
	DECLARE_KHOSER_PTR(next, struct kho_vmalloc_chunk *);
	u8 rest[KHO_REST(1)];
};

#define KHO_REST(n) ((n) * KHO_UNIT(n))
#define KHO_UNIT(n) (n)
";

#[test]
fn macros_that_lay_something_out_are_no_code() {
    let of = |text: &str| format!("#define KHO_FDT_COMPATIBLE \"kho-v4\"\n{text}");
    let changed = |from: &str, to: &str| {
        assert!(KHOSER_PTR.contains(from));
        found(&of(KHOSER_PTR), &of(&KHOSER_PTR.replace(from, to))).join("\n")
    };
    insta::assert_snapshot!(changed("u64 phys", "u32 phys"), @"2: `DECLARE_KHOSER_PTR` changes without a step of any version");
    insta::assert_snapshot!(changed("KHO_UNIT(n) (n)", "KHO_UNIT(n) (2 * (n))"), @"19: `KHO_UNIT` changes without a step of any version");
    assert_eq!(changed("virt_to_phys(val)", "__pa(val)"), "", "that is code");
}

#[test]
fn a_version_that_goes_has_not_stepped() {
    let less = with("u32 a", "u64 a").replace("#define X_COMPATIBLE \"x-v1\"\n", "");
    insta::assert_snapshot!(found(HEADER, &less).join("\n"), @r"
    8: `X_COMPATIBLE` goes without a step of any version
    13: `struct x_ser` changes without a step of any version
    13: no version covers `struct x_ser`
    ");
    let two = with("#define X_NODE", "#define X_VERSION 1\n#define X_NODE");
    let found_now = found(&two, HEADER);
    assert_eq!(found_now, ["9: `X_VERSION` goes without a step of any version"], "although another still covers it");
    // Renamed with all that it covers, it is still the same hand-over.
    let renamed = HEADER.replace("X_", "Y_").replace("x_ser", "y_ser").replace("u32 a", "u64 a");
    assert_eq!(found(HEADER, &renamed).len(), 4);
    let small = Small::new();
    let gone = small.run("abi", &small.subject(&[(PATH, HEADER), ("a.c", "1\n")], &[("a.c", "1\n")]));
    assert_eq!(gone, [], "the end of an interface: nobody hands such things over any more");
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
