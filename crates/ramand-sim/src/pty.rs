//! A pseudo-terminal that behaves like a serial port: a stable name, raw bytes, and the speed the host has set.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::libc;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

/// One life of the line, from publishing the name to hanging up.
#[derive(Debug)]
pub(super) struct Pty {
    master: PtyMaster,
    /// Kept open: without any open slave the master would read an error whenever the host closes the port.
    slave: File,
    device: PathBuf,
    link: PathBuf,
}

mod speed {
    use nix::libc;
    nix::ioctl_read_bad!(
        /// The terminal's settings with its speed as a number, which `tcgetattr` cannot give for every speed.
        tcgets2,
        libc::TCGETS2,
        libc::termios2
    );
}

impl Pty {
    /// Opens a pair and lets the symbolic link `link` point to its slave, which replaces a link of that name.
    pub(super) fn open(link: &Path) -> io::Result<Self> {
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let device = PathBuf::from(ptsname_r(&master)?);
        let slave = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(&device)?;
        // Before anybody can open it: a cooked terminal would echo the first request back to the host.
        let mut settings = tcgetattr(&slave)?;
        cfmakeraw(&mut settings);
        tcsetattr(&slave, SetArg::TCSANOW, &settings)?;
        publish(&device, link)?;
        Ok(Self { master, slave, device, link: link.to_owned() })
    }

    /// What the host has set the port to, baud.
    pub(super) fn host_baud(&self) -> io::Result<u32> {
        // SAFETY: termios2 is plain integers, for which zero is a value.
        let mut settings: libc::termios2 = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open, and TCGETS2 fills in exactly one termios2.
        unsafe { speed::tcgets2(self.slave.as_raw_fd(), &mut settings) }?;
        Ok(settings.c_ospeed)
    }

    /// What the host has sent; `None` when there is nothing at the moment.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        none_yet(self.master.read(buffer))
    }

    /// Sends as much as the host's buffer takes; `None` when it is full.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        none_yet(self.master.write(bytes))
    }

    pub(super) fn poll_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // Another simulator may have taken the name over meanwhile.
        if std::fs::read_link(&self.link).is_ok_and(|target| target == self.device) {
            let _ = std::fs::remove_file(&self.link);
        }
    }
}

fn none_yet(outcome: io::Result<usize>) -> io::Result<Option<usize>> {
    match outcome {
        Ok(number) => Ok(Some(number)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A rename replaces an old link in one step: whoever opens the name finds the old line or the new one.
fn publish(device: &Path, link: &Path) -> io::Result<()> {
    if std::fs::symlink_metadata(link).is_ok_and(|there| !there.file_type().is_symlink()) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something that is not a symbolic link"));
    }
    let mut fresh = link.as_os_str().to_owned();
    fresh.push(format!(".{}", std::process::id()));
    let _ = std::fs::remove_file(&fresh);
    std::os::unix::fs::symlink(device, &fresh)?;
    std::fs::rename(&fresh, link)
}
