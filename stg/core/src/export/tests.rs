// SPDX-License-Identifier: GPL-2.0-only

//! Exports: the same bytes anywhere, and the same trees after `git am`.

use std::process::Command;

use super::*;
use crate::base::Origin;
use crate::stack::Target;
use crate::testing::World;

fn options(draft: bool, version: u32) -> ExportOptions {
    ExportOptions {
        identity: Identity { name: "Jane Doe".to_owned(), email: "jane@example.org".to_owned() },
        draft,
        version,
        tested: vec!["- phase1/fd-preserve in three IOMMU modes".to_owned()],
    }
}

fn run(world: &World, out: &Utf8Path, options: &ExportOptions) -> Result<Vec<ExportedSeries>> {
    let assembled = world.assemble(&Target::Phase("phase1".to_owned()))?;
    export(&assembled, &world.disk(), &world.load()?, "phase1", out, options)
}

/// Every file below a directory.
fn bytes(out: &Utf8Path) -> Vec<(Utf8PathBuf, Vec<u8>)> {
    let disk = crate::source::Disk::new(out);
    let all = disk.list(Utf8Path::new("")).unwrap();
    all.into_iter().map(|entry| (entry.path.clone(), disk.read(&entry.path).unwrap().unwrap().bytes)).collect()
}

#[test]
fn cover_and_patches() {
    let world = World::new();
    let out = world.dir("out");
    let series = run(&world, &out, &options(false, 1)).unwrap();
    let names: Vec<_> = bytes(&out).into_iter().map(|(path, _)| path.into_string()).collect();
    assert_eq!(
        names,
        [
            "foundation/v1-0000-cover-letter.patch",
            "foundation/v1-0001-rust-kho-add-abstractions.patch",
            "foundation/v1-0002-PCI-track-preserved-devices.patch",
            "rest/v1-0000-cover-letter.patch",
            "rest/v1-0001-rust-kho-say-more.patch",
        ]
    );
    insta::assert_snapshot!(std::fs::read_to_string(&series[0].cover).unwrap(), @r"
    From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
    From: Jane Doe <jane@example.org>
    Date: Mon, 21 Sep 2026 14:13:21 +0000
    Subject: [PATCH 0/2] liveupdate: foundation
    MIME-Version: 1.0
    Content-Type: text/plain; charset=UTF-8
    Content-Transfer-Encoding: 8bit

    Why the foundation.

    Second paragraph.

    What was tested
    ---------------
    - phase1/fd-preserve in three IOMMU modes

    Base: Linux 7.3.4, package linux-source-7.3 7.3.4-1, tree 85b75a07791cd4c5f434b2d70cfbddf958566e02

    Jane Doe (2):
      rust: kho: add abstractions
      PCI: track preserved devices

     drivers/pci/pci.c                   |  1 +
     rust/helpers/kho.c                  |  1 +
     rust/kernel/kho.rs                  | 11 +++++++++++
     rust/kernel/lib.rs                  |  1 +
     tools/testing/selftests/vfio/live.c |  1 +
     5 files changed, 15 insertions(+)
     create mode 100644 rust/helpers/kho.c
     create mode 100644 rust/kernel/kho.rs
     create mode 100644 tools/testing/selftests/vfio/live.c
    ");
    insta::assert_snapshot!(std::fs::read_to_string(&series[1].patches[0]).unwrap(), @r"
    From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
    From: Jane Doe <jane@example.org>
    Date: Mon, 21 Sep 2026 14:13:23 +0000
    Subject: [PATCH 1/1] rust: kho: say more

    The end of the file explains itself now.

    Signed-off-by: Jane Doe <jane@example.org>
    ---
     rust/kernel/kho.rs | 1 +
     1 file changed, 1 insertion(+)

    diff --git a/rust/kernel/kho.rs b/rust/kernel/kho.rs
    index 6e24dc40d7fef20ae2b3e758fd8d2736837bdb21..039a4af850a1834821a3e9385402bfc3ee2ae34e 100644
    --- a/rust/kernel/kho.rs
    +++ b/rust/kernel/kho.rs
    @@ -9,3 +9,4 @@ k 7
     k 8
     k 9
     k 10
    +explained
    ");
    let cover = std::fs::read_to_string(&series[1].cover).unwrap();
    assert_eq!(cover.matches("prerequisite-patch-id: ").count(), 2);
    assert!(!cover.contains("base-commit"));
}

#[test]
fn a_clone_has_a_base_commit() {
    let mut world = World::new();
    world.base.origin = Origin::Clone { path: "/somewhere".into(), tag: "v7.3.4".to_owned() };
    let series = run(&world, &world.dir("out"), &options(false, 1)).unwrap();
    let cover = std::fs::read_to_string(&series[0].cover).unwrap();
    assert!(cover.contains(&format!("\nbase-commit: {}\n", world.base.commit)), "{cover}");
    assert!(!cover.contains("package"));
}

#[test]
fn am_gives_the_same_trees() {
    let world = World::new();
    let (repo, tree) = (world.repo(), world.dir("am"));
    repo.checkout(&tree, Repo::oid(&world.base.commit).unwrap()).unwrap();
    let assembled = world.assemble(&Target::Phase("phase1".to_owned())).unwrap();
    let mut patches = assembled.patches.iter();
    for series in run(&world, &world.dir("out"), &options(true, 3)).unwrap() {
        for mail in &series.patches {
            repo.am(&tree, std::slice::from_ref(mail)).unwrap();
            let head = repo.worktree_head(&tree).unwrap();
            let expected = patches.next().unwrap();
            assert_eq!(repo.tree_of(head).unwrap(), expected.tree);
            // Subject and body survive the mail as well.
            assert_eq!(repo.message(head).unwrap(), repo.message(expected.commit).unwrap());
        }
    }
    assert!(patches.next().is_none());
}

#[test]
fn versions_and_drafts_are_in_the_subject() {
    let world = World::new();
    let out = world.dir("out");
    let subject = |draft, version| -> Vec<String> {
        let series = run(&world, &out, &options(draft, version)).unwrap().remove(0);
        let all = [&series.cover, &series.patches[1]];
        all.map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            let name = path.file_name().unwrap().split('-').next().unwrap().to_owned();
            format!("{name} {}", text.lines().find(|line| line.starts_with("Subject: ")).unwrap())
        })
        .to_vec()
    };
    assert_eq!(
        subject(false, 2),
        [
            "v2 Subject: [PATCH v2 0/2] liveupdate: foundation",
            "v2 Subject: [PATCH v2 2/2] PCI: track preserved devices"
        ]
    );
    assert_eq!(subject(true, 1)[1], "v1 Subject: [DRAFT PATCH 2/2] PCI: track preserved devices");
    // The second export replaced the first.
    assert!(bytes(&out).iter().all(|(path, _)| path.file_name().unwrap().starts_with("v1-")));
}

#[test]
fn the_last_sign_off_is_the_exporters() {
    let world = World::new();
    world.replace("phases/phase1/track.patch", "Signed-off-by: Jane Doe", "Signed-off-by: John Roe");
    world.replace("phases/phase1/docs.patch", "\n\nSigned-off-by: Jane Doe <jane@example.org>", "");
    let out = world.dir("out");
    insta::assert_snapshot!(run(&world, &out, &options(false, 1)).unwrap_err(), @r"
    phases/phase1/track.patch:6: the last Signed-off-by is of John Roe <jane@example.org>, but Jane Doe <jane@example.org> exports
      fix: if you certify the patch by the Developer Certificate of Origin, add `Signed-off-by: Jane Doe <jane@example.org>` as the last line of the body; or use --draft
    phases/phase1/docs.patch:3: no Signed-off-by, and Jane Doe <jane@example.org> exports
      fix: if you certify the patch by the Developer Certificate of Origin, add `Signed-off-by: Jane Doe <jane@example.org>` as the last line of the body; or use --draft
    ");
    assert!(!out.exists());
    run(&world, &out, &options(true, 1)).unwrap();
}

#[test]
fn foreign_files_are_not_touched() {
    let world = World::new();
    let out = world.dir("out");
    std::fs::create_dir_all(out.join("rest")).unwrap();
    std::fs::write(out.join("rest/notes.txt"), "mine").unwrap();
    let error = run(&world, &out, &options(false, 1)).unwrap_err().to_string();
    insta::assert_snapshot!(error.replace(out.as_str(), "OUT"), @r"
    OUT/rest/notes.txt is not a file that an export writes
      fix: choose another directory with `-o`, or move the file away
    ");
    assert_eq!(bytes(&out).len(), 1);
    assert!(
        is_ours("v12-0003-a.patch")
            && !is_ours("v1-cover.patch")
            && !is_ours("0001-a.patch")
            && !is_ours("v1-0001-a.txt")
    );
}

#[test]
fn names_outside_ascii() {
    let world = World::new();
    let mut options = options(true, 1);
    options.identity.name = "Zoë Müller".to_owned();
    let series = run(&world, &world.dir("out"), &options).unwrap().remove(0);
    for mail in [&series.cover, &series.patches[0]] {
        let text = std::fs::read_to_string(mail).unwrap();
        assert!(text.contains("From: =?UTF-8?q?Zo=C3=AB=20M=C3=BCller?= <jane@example.org>\n"), "{text}");
    }
}

const CHILD: &str = "STG_CORE_TEST_EXPORT";

#[test]
#[ignore = "the child of the test below, which runs it in another environment"]
fn child_exports() {
    let out = std::env::var(CHILD).unwrap();
    run(&World::new(), Utf8Path::new(&out), &options(false, 2)).unwrap();
}

#[test]
fn bytes_do_not_depend_on_the_environment() {
    let dir = crate::testing::tempdir();
    let home = dir.path().join("home");
    std::fs::create_dir_all(home.join(".config/git")).unwrap();
    std::fs::write(
        home.join(".gitconfig"),
        "[user]\n\tname = Someone Else\n\temail = else@example.org\n[diff]\n\tnoprefix = true\n\talgorithm = patience\n\tcontext = 9\n\
         \trenames = false\n\tmnemonicPrefix = true\n\tsuppressBlankEmpty = true\n[core]\n\tabbrev = 5\n\tquotePath = false\n\tautocrlf = true\n\
         [format]\n\tsignature = hostile\n\tthread = deep\n\tattach = x\n\theaders = \"X-Hostile: yes\\n\"\n\tsubjectPrefix = HOSTILE\n\
         \tnumbered = false\n\tfrom = true\n\tsignOff = true\n\tuseAutoBase = true\n\tcoverLetter = true\n\
         [log]\n\tshowSignature = true\n\tdate = relative\n[i18n]\n\tlogOutputEncoding = latin1\n[commit]\n\tgpgSign = true\n\
         [diff \"cpp\"]\n\txfuncname = \"^.*line.*$\"\n",
    )
    .unwrap();
    std::fs::write(home.join(".config/git/attributes"), "*.c diff=cpp\n*.rs binary\n").unwrap();
    let child = |name: &str, hostile: bool| {
        let out = dir.path().join(name);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--ignored", "export::tests::child_exports"]).env(CHILD, &out);
        if hostile {
            let set = [
                ("HOME", home.as_str()),
                ("TZ", "Pacific/Auckland"),
                ("LANG", "de_DE.UTF-8"),
                ("LC_ALL", "de_DE.UTF-8"),
                ("COLUMNS", "200"),
                ("GIT_AUTHOR_DATE", "1234567890 +0530"),
                ("GIT_COMMITTER_DATE", "1234567890 +0530"),
                ("GIT_AUTHOR_NAME", "Hostile"),
                ("GIT_COMMITTER_EMAIL", "hostile@example.org"),
                ("GIT_DIR", "/nonexistent"),
                ("GIT_INDEX_FILE", "/nonexistent"),
                ("GIT_DIFF_OPTS", "--unified=0"),
                ("GIT_EXTERNAL_DIFF", "false"),
                ("GIT_CONFIG_COUNT", "1"),
                ("GIT_CONFIG_KEY_0", "diff.noprefix"),
                ("GIT_CONFIG_VALUE_0", "true"),
            ];
            command.envs(set).env_remove("XDG_CONFIG_HOME").env_remove("GIT_CONFIG_GLOBAL");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        bytes(&out)
    };
    let (plain, hostile) = (child("plain", false), child("hostile", true));
    assert_eq!(plain.len(), 5);
    for (one, other) in plain.iter().zip(&hostile) {
        assert_eq!(String::from_utf8_lossy(&one.1), String::from_utf8_lossy(&other.1), "{}", one.0);
    }
    assert_eq!(plain, hostile);
}
