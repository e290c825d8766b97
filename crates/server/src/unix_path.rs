//! The file of a unix socket.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The file of a listening unix socket, removed when this is dropped, as Go's `UnixListener` does.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode, so that nobody else's file is removed.
    id: Option<(u64, u64)>,
}

impl SocketFile {
    /// Listens at `path`. A socket that is left over from an earlier process is replaced.
    pub(crate) fn bind(path: &Path) -> io::Result<(UnixListener, Self)> {
        let socket = match UnixListener::bind(path) {
            Err(cause) if cause.kind() == io::ErrorKind::AddrInUse && is_left_over(path) => {
                fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            other => other?,
        };
        Ok((socket, SocketFile { path: path.to_owned(), id: id(path) }))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.id.is_some() && self.id == id(&self.path) {
            // It may be gone by now; then there is nothing to do.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn id(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Whether a socket is there, and nobody listens on it.
fn is_left_over(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|cause| cause.kind() == io::ErrorKind::ConnectionRefused)
}
