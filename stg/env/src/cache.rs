// SPDX-License-Identifier: GPL-2.0-only

//! The one directory that holds everything derived or downloaded.
//!
//! Its root is, in this order: an argument, `$PHASECTL_CACHE`, `$XDG_CACHE_HOME/phasectl`, `$HOME/.cache/phasectl` (a
//! relative `XDG_CACHE_HOME` is ignored, as the XDG base directory specification demands). Deleting the cache, or any
//! part of it, costs time and changes nothing else.
//!
//! Methods that return a `Result` create the directory they name; the rest only name a path.
//!
//! Two processes that want to fill the same place take a [`Cache::lock`]. It is an advisory `flock`: the kernel drops it
//! with the last process that has it, so a killed run leaves nothing to clean up, while a program it started and that
//! still writes ([`LockGuard::share`]) keeps others out.

use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::Write as _;
use std::process::Stdio;

use camino::Utf8Path;
use camino::Utf8PathBuf;

use crate::EnvError;
use crate::error::checked_name;

/// The cache's layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    root: Utf8PathBuf,
}

/// Holds a lock of the cache until dropped.
#[derive(Debug)]
pub struct LockGuard {
    /// Closing the file, here and in every child that inherited it, releases the lock.
    file: File,
}

impl LockGuard {
    /// The lock as a child's standard input, from which there is nothing to read. The child then holds the lock too: if
    /// this process is killed and the child works on, nobody else gets in before it has ended.
    ///
    /// # Errors
    ///
    /// If the descriptor cannot be duplicated.
    pub fn share(&self) -> Result<Stdio, EnvError> {
        let file = self.file.try_clone().map_err(EnvError::io("share", Utf8Path::new("the lock file")))?;
        Ok(file.into())
    }
}

impl Cache {
    /// Finds the cache: `explicit`, else what the environment says.
    ///
    /// # Errors
    ///
    /// If nothing names a place, or the place is not UTF-8, or it cannot be created.
    pub fn discover(explicit: Option<&Utf8Path>) -> Result<Self, EnvError> {
        let root = locate(explicit, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
        let absolute = std::path::absolute(&root).map_err(EnvError::io("find", &root))?;
        Self::at(&Utf8PathBuf::from_path_buf(absolute).map_err(|path| EnvError::NotUtf8 { path })?)
    }

    /// A cache at exactly this absolute path; it is created.
    ///
    /// # Errors
    ///
    /// If it cannot be created.
    pub fn at(root: &Utf8Path) -> Result<Self, EnvError> {
        Ok(Self { root: made(root.to_owned())? })
    }

    /// The root directory.
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// The bare repository that holds the base and the assembled commits; not created here.
    pub fn base_repo(&self) -> Utf8PathBuf {
        self.root.join("base.git")
    }

    /// Linux worktrees.
    pub fn worktrees(&self) -> Result<Utf8PathBuf, EnvError> {
        made(self.root.join("worktrees"))
    }

    /// The build directory (`O=`) for `key`.
    pub fn build(&self, key: &str) -> Result<Utf8PathBuf, EnvError> {
        made(self.root.join("build").join(checked_name("build key", key)?))
    }

    /// Finished kernels, by key.
    pub fn kernels(&self) -> Result<Utf8PathBuf, EnvError> {
        made(self.root.join("kernels"))
    }

    /// Results of test runs.
    pub fn results(&self) -> Result<Utf8PathBuf, EnvError> {
        made(self.root.join("results"))
    }

    /// Finished downloads.
    pub fn downloads(&self) -> Result<Utf8PathBuf, EnvError> {
        made(self.root.join("downloads"))
    }

    /// Tools that set-up installed for this project alone.
    pub fn tools(&self) -> Result<Utf8PathBuf, EnvError> {
        made(self.root.join("tools"))
    }

    /// Private apt configurations, see [`crate::apt`].
    pub fn apt(&self) -> Result<Utf8PathBuf, EnvError> {
        made(self.root.join("apt"))
    }

    /// The guest's init, and the programs that it runs.
    pub fn guest(&self) -> Result<Utf8PathBuf, EnvError> {
        made(self.root.join("guest"))
    }

    /// Takes the lock `name`, waiting for it if need be (which is then said on stderr). Not reentrant.
    ///
    /// # Errors
    ///
    /// If the lock file cannot be opened or locked.
    pub fn lock(&self, name: &str) -> Result<LockGuard, EnvError> {
        let dir = made(self.root.join("locks"))?;
        let path = dir.join(format!("{}.lock", checked_name("lock", name)?));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(EnvError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("waiting for the lock `{name}`, held by {} ({path})", holder(&mut file));
                file.lock().map_err(EnvError::io("lock", &path))?;
            }
            Err(TryLockError::Error(source)) => return Err(EnvError::io("lock", &path)(source)),
        }
        // For the message above in the next process; the lock is held whether or not this works.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(LockGuard { file })
    }
}

/// Says who wrote itself into a lock file.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => format!("process {} or one that it started", text.trim()),
        _ => "another process".to_owned(),
    }
}

/// The cache's root from an argument or from environment variables.
fn locate(explicit: Option<&Utf8Path>, var: impl Fn(&str) -> Option<String>) -> Result<Utf8PathBuf, EnvError> {
    if let Some(path) = explicit {
        return Ok(path.to_owned());
    }
    if let Some(path) = var("PHASECTL_CACHE") {
        return Ok(path.into());
    }
    let xdg = var("XDG_CACHE_HOME").map(Utf8PathBuf::from).filter(|path| path.is_absolute());
    let base = xdg.or_else(|| var("HOME").map(|home| Utf8PathBuf::from(home).join(".cache")));
    Ok(base.ok_or(EnvError::NoCacheDir)?.join("phasectl"))
}

/// Creates a directory with its parents.
fn made(path: Utf8PathBuf) -> Result<Utf8PathBuf, EnvError> {
    std::fs::create_dir_all(&path).map_err(EnvError::io("create", &path))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::tempdir;
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::Duration;

    fn env<'a>(vars: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn precedence() {
        let all = [("PHASECTL_CACHE", "/p"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(locate(Some("/e".into()), env(&all)).unwrap(), "/e");
        assert_eq!(locate(None, env(&all)).unwrap(), "/p");
        assert_eq!(locate(None, env(&all[1..])).unwrap(), "/x/phasectl");
        assert_eq!(locate(None, env(&[("XDG_CACHE_HOME", "rel"), ("HOME", "/h")])).unwrap(), "/h/.cache/phasectl");
        assert!(matches!(locate(None, env(&[])), Err(EnvError::NoCacheDir)));
    }

    #[test]
    fn directories_are_made_on_demand_and_keys_stay_inside() {
        let (_guard, dir) = tempdir();
        let cache = Cache::at(&dir.join("deep/cache")).unwrap();
        assert!(!cache.root().join("kernels").exists());
        assert!(cache.kernels().unwrap().is_dir());
        assert_eq!(cache.build("abc123").unwrap(), dir.join("deep/cache/build/abc123"));
        assert!(cache.build("../escape").is_err());
        assert!(!cache.base_repo().exists());
    }

    #[test]
    fn the_second_waits_for_the_first() {
        let (_guard, dir) = tempdir();
        let cache = Cache::at(&dir).unwrap();
        let first = cache.lock("build").unwrap();
        let other = cache.lock("other").unwrap();
        let (send, receive) = mpsc::channel();
        let waiter = std::thread::spawn({
            let cache = cache.clone();
            move || {
                let _second = cache.lock("build").unwrap();
                send.send(()).unwrap();
            }
        });
        assert!(receive.recv_timeout(Duration::from_millis(200)).is_err(), "both had the lock");
        drop(other);
        assert!(receive.recv_timeout(Duration::from_millis(100)).is_err(), "another lock released this one");
        drop(first);
        receive.recv_timeout(Duration::from_secs(10)).unwrap();
        waiter.join().unwrap();
    }

    #[test]
    fn a_child_keeps_the_lock_and_reads_nothing_from_it() {
        let (_guard, dir) = tempdir();
        let cache = Cache::at(&dir).unwrap();
        let lock = cache.lock("x").unwrap();
        // `read` fails at the end of the input; then the child waits to be told to end, by a file.
        let script =
            format!("read line && echo got $line > {dir}/read; while ! test -e {dir}/end; do sleep 0.05; done");
        let mut child = Command::new("/bin/sh").args(["-c", &script]).stdin(lock.share().unwrap()).spawn().unwrap();
        drop(lock);
        let other = File::open(dir.join("locks/x.lock")).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        std::fs::write(dir.join("end"), "").unwrap();
        child.wait().unwrap();
        // A child that another test's thread is just forking has every descriptor until it executes its program.
        let released = || {
            other.try_lock().is_ok() || {
                std::thread::sleep(Duration::from_millis(10));
                false
            }
        };
        assert!((0..1000).any(|_| released()), "the lock outlived the child");
        assert!(!dir.join("read").exists());
    }

    #[test]
    fn a_lock_names_its_holder() {
        let (_guard, dir) = tempdir();
        let cache = Cache::at(&dir).unwrap();
        let _first = cache.lock("x").unwrap();
        let mut file = File::open(dir.join("locks/x.lock")).unwrap();
        assert_eq!(holder(&mut file), format!("process {} or one that it started", std::process::id()));
        assert_eq!(holder(&mut File::open("/dev/null").unwrap()), "another process");
    }
}
