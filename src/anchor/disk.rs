//! The few file operations durability is made of, behind a trait: tests fail each of them in turn.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// File operations, each of which may be the last one before a crash.
pub trait Disk: Send + Sync {
    /// `len` bytes from `offset`; fewer at the end; none if there is no file.
    fn read(&self, path: &Path, offset: u64, len: usize) -> io::Result<Option<Vec<u8>>>;
    /// The file's length; 0 if there is none.
    fn len(&self, path: &Path) -> io::Result<u64>;
    /// Writes a file as a whole, private to its owner. Not durable before [`Disk::sync`].
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Makes a file's content durable.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, in place of what has that name. Not durable before [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes a directory's entries durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Removes a file; none there is no error.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Writes bytes at `offset`, over what is there, and makes them durable; where the file begins, its name as well.
    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file to `len` bytes, durably.
    fn cut(&self, path: &Path, len: u64) -> io::Result<()>;
}

/// The machine's own disk.
pub struct RealDisk;

impl Disk for RealDisk {
    fn read(&self, path: &Path, offset: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::with_capacity(len.min(1 << 20));
        file.take(u64::try_from(len).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        match fs::metadata(path) {
            Ok(meta) => Ok(meta.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        private(OpenOptions::new().create(true).write(true).truncate(true)).open(path)?.write_all(bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = private(OpenOptions::new().create(true).write(true).truncate(false)).open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)?;
        file.sync_data()?;
        // Where it began just now, its name is to last as well.
        match path.parent() {
            Some(dir) if offset == 0 => self.sync_dir(dir),
            _ => Ok(()),
        }
    }

    fn cut(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = private(OpenOptions::new().write(true)).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }
}

/// Readable and writable by the owner alone, and never through a symbolic link.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
    }
    #[cfg(not(unix))]
    options
}

/// The lock under which one process at a time changes a vault's state. Released on drop, and by the operating system
/// when the process dies.
pub struct StateLock(#[expect(dead_code, reason = "held for its lock")] File);

impl StateLock {
    /// Waits for the lock.
    ///
    /// # Errors
    /// Whatever opening or locking the file returns.
    pub fn take(dir: &Path) -> io::Result<Self> {
        let path: PathBuf = dir.join("lock");
        let file = private(OpenOptions::new().create(true).write(true).truncate(false)).open(path)?;
        file.lock()?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cannot be reached is not taken for what is not there.
    #[test]
    fn only_what_is_not_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (file, absent) = (dir.path().join("file"), dir.path().join("absent"));
        RealDisk.write(&file, b"content").unwrap();
        assert_eq!(RealDisk.read(&file, 3, 2).unwrap(), Some(b"te".to_vec()));
        assert_eq!((RealDisk.read(&absent, 0, 1).unwrap(), RealDisk.len(&absent).unwrap()), (None, 0));
        assert!(RealDisk.remove(&absent).is_ok() && RealDisk.len(&file).unwrap() == 7);
        // Below a file there is no directory.
        let beyond = file.join("beyond");
        assert!(RealDisk.read(&beyond, 0, 1).is_err() && RealDisk.len(&beyond).is_err());
        assert!(RealDisk.remove(&beyond).is_err());
        assert!(RealDisk.sync(&file).is_ok() && RealDisk.sync(&absent).is_err());
        assert!(RealDisk.sync_dir(dir.path()).is_ok() && RealDisk.sync_dir(&absent).is_err());
        RealDisk.write_at(&file, 5, b"ed once").unwrap();
        RealDisk.cut(&file, 7).unwrap();
        assert_eq!(RealDisk.read(&file, 0, 99).unwrap(), Some(b"conteed".to_vec()));
        assert!(RealDisk.remove(&file).is_ok() && !file.exists());
    }
}
