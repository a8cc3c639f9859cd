// SPDX-License-Identifier: GPL-2.0-only

//! Symbolic names of errnos, both ways.
//!
//! A plan says `EBUSY` and a report says `EBUSY`: numbers are nobody's language. The table holds all of x86's
//! `errno-base.h` and `errno.h` that a driver or a file system returns, and the kernel-internal codes that
//! leak out of drivers by mistake (512 and up), since a report should name those too.

use rustix::io::Errno;

const NAMES: &[(i32, &str)] = &[
    (1, "EPERM"),
    (2, "ENOENT"),
    (3, "ESRCH"),
    (4, "EINTR"),
    (5, "EIO"),
    (6, "ENXIO"),
    (7, "E2BIG"),
    (8, "ENOEXEC"),
    (9, "EBADF"),
    (10, "ECHILD"),
    (11, "EAGAIN"),
    (12, "ENOMEM"),
    (13, "EACCES"),
    (14, "EFAULT"),
    (15, "ENOTBLK"),
    (16, "EBUSY"),
    (17, "EEXIST"),
    (18, "EXDEV"),
    (19, "ENODEV"),
    (20, "ENOTDIR"),
    (21, "EISDIR"),
    (22, "EINVAL"),
    (23, "ENFILE"),
    (24, "EMFILE"),
    (25, "ENOTTY"),
    (26, "ETXTBSY"),
    (27, "EFBIG"),
    (28, "ENOSPC"),
    (29, "ESPIPE"),
    (30, "EROFS"),
    (31, "EMLINK"),
    (32, "EPIPE"),
    (33, "EDOM"),
    (34, "ERANGE"),
    (35, "EDEADLK"),
    (36, "ENAMETOOLONG"),
    (37, "ENOLCK"),
    (38, "ENOSYS"),
    (39, "ENOTEMPTY"),
    (40, "ELOOP"),
    (42, "ENOMSG"),
    (52, "EBADE"),
    (53, "EBADR"),
    (61, "ENODATA"),
    (62, "ETIME"),
    (71, "EPROTO"),
    (74, "EBADMSG"),
    (75, "EOVERFLOW"),
    (76, "ENOTUNIQ"),
    (77, "EBADFD"),
    (84, "EILSEQ"),
    (87, "EUSERS"),
    (90, "EMSGSIZE"),
    (92, "ENOPROTOOPT"),
    (93, "EPROTONOSUPPORT"),
    (95, "EOPNOTSUPP"),
    (98, "EADDRINUSE"),
    (99, "EADDRNOTAVAIL"),
    (104, "ECONNRESET"),
    (105, "ENOBUFS"),
    (107, "ENOTCONN"),
    (108, "ESHUTDOWN"),
    (110, "ETIMEDOUT"),
    (111, "ECONNREFUSED"),
    (112, "EHOSTDOWN"),
    (113, "EHOSTUNREACH"),
    (114, "EALREADY"),
    (115, "EINPROGRESS"),
    (116, "ESTALE"),
    (117, "EUCLEAN"),
    (121, "EREMOTEIO"),
    (122, "EDQUOT"),
    (123, "ENOMEDIUM"),
    (124, "EMEDIUMTYPE"),
    (125, "ECANCELED"),
    (126, "ENOKEY"),
    (129, "EKEYREJECTED"),
    (130, "EOWNERDEAD"),
    (131, "ENOTRECOVERABLE"),
    (133, "EHWPOISON"),
    (512, "ERESTARTSYS"),
    (515, "ENOIOCTLCMD"),
    (517, "EPROBE_DEFER"),
    (524, "ENOTSUPP"),
];

/// The symbolic name, or `errno N` for one that has none here.
pub(crate) fn name(errno: Errno) -> String {
    let number = errno.raw_os_error();
    NAMES.iter().find(|(n, _)| *n == number).map_or_else(|| format!("errno {number}"), |(_, name)| (*name).to_owned())
}

/// Whether a plan may ask for this name.
pub(crate) fn is_known(name: &str) -> bool {
    NAMES.iter().any(|(_, known)| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_kernel() {
        // Against rustix' generated constants, at the places where a hand-written table goes wrong: around gaps.
        for (errno, expected) in [
            (Errno::PERM, "EPERM"),
            (Errno::BUSY, "EBUSY"),
            (Errno::RANGE, "ERANGE"),
            (Errno::NOSYS, "ENOSYS"),
            (Errno::LOOP, "ELOOP"),
            (Errno::NOMSG, "ENOMSG"),
            (Errno::NODATA, "ENODATA"),
            (Errno::OVERFLOW, "EOVERFLOW"),
            (Errno::OPNOTSUPP, "EOPNOTSUPP"),
            (Errno::TIMEDOUT, "ETIMEDOUT"),
            (Errno::STALE, "ESTALE"),
            (Errno::UCLEAN, "EUCLEAN"),
            (Errno::CANCELED, "ECANCELED"),
            (Errno::NOTRECOVERABLE, "ENOTRECOVERABLE"),
            (Errno::HWPOISON, "EHWPOISON"),
        ] {
            assert_eq!(name(errno), expected);
            assert!(is_known(expected));
        }
    }

    #[test]
    fn the_table_is_sorted_and_unique() {
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn others_keep_their_number() {
        assert_eq!(name(Errno::from_raw_os_error(41)), "errno 41");
        assert!(!is_known("EBUSSY"));
    }
}
