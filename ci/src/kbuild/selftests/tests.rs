// SPDX-License-Identifier: GPL-2.0-only

//! Builds of a tiny tree with a make that is a shell script.

use stg_core::git::{NewCommit, Update};
use stg_core::manifest::Identity;

use super::*;
use crate::kbuild::tests::tools;

/// Makes one program per suite, its text being that of its source; leaves an object beside the source, and trips over one.
const MAKE: &str = r#"#!/bin/sh
src=$2
out=${3#O=}
for goal in "$@"; do :; done
echo "$goal" >>"$out/../../../../runs"
if [ "$goal" = headers ]; then
    mkdir -p "$out/usr/include"
    exit 0
fi
[ -d "$out/usr/include" ] || exit 9
for suite in iommu liveupdate vfio; do
    if [ -e "$src/$suite/t.o" ]; then
        echo "$src/$suite/t.o:1:1: error: an old object"
        exit 2
    fi
    if grep -q BROKEN "$src/$suite/t.c"; then
        echo "$src/$suite/t.c:1:7: error: broken" >&2
        echo "make: *** [t.o] Error 1" >&2
        exit 2
    fi
    mkdir -p "$out/kselftest/$suite/lib$suite"
    cp "$src/$suite/t.c" "$src/$suite/t.o"
    cp "$src/$suite/t.c" "$out/kselftest/$suite/${suite}_test"
    cp "$src/$suite/t.c" "$out/kselftest/$suite/${suite}_test.o"
done
exit 0
"#;

struct Lab {
    _guard: tempfile::TempDir,
    root: Utf8PathBuf,
    cache: Cache,
    tools: Tools,
}

impl Lab {
    fn new() -> Self {
        let guard = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(&guard.path().canonicalize().unwrap()).unwrap().to_owned();
        let cache = Cache::at(&root.join("cache")).unwrap();
        let tools = tools(&root, MAKE);
        Self { _guard: guard, root, cache, tools }
    }

    fn build(&self, vfio: &str, driver: &str) -> Result<Utf8PathBuf, BuildError> {
        let repo_path = self.root.join("base.git");
        let repo = Repo::open_or_create(&repo_path).unwrap();
        let put = |path: &str, text: &str| (path.into(), Update::Put(repo.blob(text.as_bytes()).unwrap(), 0o100_644));
        let files = [
            put("tools/testing/selftests/vfio/t.c", vfio),
            put("tools/testing/selftests/iommu/t.c", "iommu"),
            put("tools/testing/selftests/liveupdate/t.c", "luo"),
            put("drivers/vfio/vfio.c", driver),
        ];
        let tree = repo.update_tree(repo.empty_tree().unwrap(), &files).unwrap();
        let who = Identity { name: "P".into(), email: "p@example.org".into() };
        let commit = repo.commit(&NewCommit { tree, parent: None, who: &who, date: 1, message: "m" }).unwrap();
        selftests(&SelftestsRequest {
            repo: &repo_path,
            commit: &commit.to_string(),
            label: "x",
            tools: &self.tools,
            cache: &self.cache,
            jobs: 1,
            blame: None,
        })
    }

    fn runs(&self) -> usize {
        std::fs::read_to_string(self.root.join("runs")).unwrap_or_default().lines().count()
    }
}

#[test]
fn programs_are_built_once_for_what_they_are_made_from() {
    let lab = Lab::new();
    let first = lab.build("one", "a").unwrap();
    let mut names: Vec<_> = first.read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["iommu_test", "liveupdate_test", "vfio_test"], "programs and nothing else");
    assert_eq!(lab.build("one", "b").unwrap(), first, "a driver is no part of them");
    assert_eq!(lab.runs(), 2, "headers and programs, once");
    let second = lab.build("two", "b").unwrap();
    assert_eq!(std::fs::read_to_string(second.join("vfio_test")).unwrap(), "two");
    assert_eq!(std::fs::read_to_string(first.join("vfio_test")).unwrap(), "one");
}

#[test]
fn other_tools_make_other_programs() {
    let mut lab = Lab::new();
    let first = lab.build("one", "a").unwrap();
    lab.tools.id = "tools 2".into();
    assert_ne!(lab.build("one", "a").unwrap(), first);
}

#[test]
fn what_does_not_compile_is_located_and_not_kept() {
    let lab = Lab::new();
    let error = lab.build("BROKEN", "a").unwrap_err();
    assert!(matches!(error, BuildError::Compile { .. }));
    assert!(error.to_string().starts_with("tools/testing/selftests/vfio/t.c:1:7: error: broken"), "{error}");
    assert_eq!(lab.cache.guest().unwrap().read_dir_utf8().unwrap().count(), 0);
    lab.build("mended", "a").unwrap();
}
