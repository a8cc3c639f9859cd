// SPDX-License-Identifier: GPL-2.0-only

//! What to say of a name that nobody knows: which one may have been meant, and how to see all of them.
//!
//! Whoever mistypes one of dozens is not helped by a list of them.

/// So many names are listed in a message, and no more.
const FEW: usize = 8;

/// So many names may be the nearest ones.
const TIED: usize = 3;

/// How much alike two names are if one may have been meant by the other; 1 is the same. A letter in three may be another, and a little more.
const ALIKE: f64 = 0.6;

/// What to do about a name that is not among those that are known. `all` says how to see every one, as an imperative.
pub fn fix<S: AsRef<str>>(wanted: &str, known: &[S], all: &str) -> String {
    let known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    let few = (1..=FEW).contains(&known.len());
    let near = nearest(wanted, &known);
    match near.as_slice() {
        [one] if known.len() == 1 => format!("did you mean `{one}`?"),
        [_, ..] if near.len() < known.len() => {
            let near = near.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
            let rest = if few { format!("There are: {}", known.join(", ")) } else { format!("Else {all}") };
            format!("did you mean {near}? {rest}")
        }
        _ if few => format!("name one of: {}", known.join(", ")),
        _ => all.to_owned(),
    }
}

/// The known names that are nearest to another one, if any are near: mostly one. If many are as near as each other, none is meant.
fn nearest<'a>(wanted: &str, known: &[&'a str]) -> Vec<&'a str> {
    let mut near: Vec<(f64, &str)> = known.iter().map(|name| (likeness(wanted, name), *name)).collect();
    let best = near.iter().map(|(likeness, _)| *likeness).fold(ALIKE, f64::max);
    near.retain(|(likeness, _)| *likeness > ALIKE && *likeness >= best);
    if near.len() > TIED { Vec::new() } else { near.into_iter().map(|(_, name)| name).collect() }
}

/// How much alike two names are. What comes before them in both, such as a phase, makes nothing alike.
fn likeness(one: &str, other: &str) -> f64 {
    let same = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let behind = one.as_bytes()[..same].iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    strsim::normalized_damerau_levenshtein(&one[behind..], &other[behind..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCHES: [&str; 10] = [
        "kho-rust",
        "vfio-retrieve",
        "vfio-preserve",
        "vfio-exclusive-open",
        "pci-acs",
        "pci-ari",
        "pci-bus-master",
        "kunit",
        "sample",
        "doc",
    ];

    #[test]
    fn a_slip_of_the_pen_is_near() {
        let near = |wanted| nearest(wanted, &PATCHES).join(" ");
        for (wanted, meant) in [
            ("vfio-retreive", "vfio-retrieve"),
            ("vfio-retrive", "vfio-retrieve"),
            ("vfio_preserve", "vfio-preserve"),
            ("retrieve", "vfio-retrieve"),
            ("pci-asc", "pci-acs"),
            ("pci-a", "pci-acs pci-ari"),
            ("KHO-rust", "kho-rust"),
            ("iommu-domains", ""),
            ("", ""),
        ] {
            assert_eq!(near(wanted), meant, "{wanted}");
        }
    }

    #[test]
    fn what_comes_before_both_does_not_count() {
        let names = ["phase1/first/legacy", "phase1/second/x"];
        assert_eq!(nearest("phase1/first/legasy", &names), ["phase1/first/legacy"]);
        assert_eq!(nearest("phase1/first/virtual", &names), [""; 0]);
        assert_eq!(nearest("phase2/second/x", &names), ["phase1/second/x"]);
        assert_eq!(nearest("é/x", &["è/x"]), ["è/x"], "half a character is not the same");
    }

    #[test]
    fn few_names_are_listed_and_many_are_not() {
        let all = "run `phasectl list` for all names";
        let few = &PATCHES[..2];
        assert_eq!(fix("kho-rost", few, all), "did you mean `kho-rust`? There are: kho-rust, vfio-retrieve");
        assert_eq!(fix("x", few, all), "name one of: kho-rust, vfio-retrieve");
        assert_eq!(fix("phase9", &["phase1", "phase2"], all), "name one of: phase1, phase2");
        assert_eq!(fix("pci-a", &PATCHES, all), format!("did you mean `pci-acs` or `pci-ari`? Else {all}"));
        assert_eq!(fix("kho-rost", &few[..1], all), "did you mean `kho-rust`?");
        assert_eq!(fix("kho-rost", &PATCHES, all), format!("did you mean `kho-rust`? Else {all}"));
        assert_eq!(fix("x", &PATCHES, all), all);
        assert_eq!(fix::<&str>("x", &[], all), all);
    }
}
