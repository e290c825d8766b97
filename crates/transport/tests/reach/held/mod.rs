//! Connections that the program holds.

mod carrying;
mod ends;
mod given_back;
mod site;
mod telling;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::site::{ALL, HTTP1, HTTP2, Over, Site, noting, take, text};
use super::http2::until;
use super::peers::Peer;
use super::*;
