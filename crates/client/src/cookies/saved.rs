//! A jar as JSON (feature `json`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roundtrip_types::{Error, ErrorKind, Result, SameSite};
use serde::{Deserialize, Serialize};

use super::JarUrl;
use super::MemoryJar;
use super::entry::{Entry, Place};

/// One cookie in the file. Names are stable: files outlive versions.
#[derive(Serialize, Deserialize)]
struct Saved {
    name: String,
    value: String,
    #[serde(default, skip_serializing_if = "is_false")]
    quoted: bool,
    domain: String,
    #[serde(default, skip_serializing_if = "is_false")]
    host_only: bool,
    path: String,
    /// Seconds since 1970; none for a cookie of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(default, skip_serializing_if = "is_false")]
    secure: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    http_only: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    same_site: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl MemoryJar {
    /// All cookies as JSON, oldest first, for [`load_json`](MemoryJar::load_json). Those without an expiry are of the session
    /// that ends here and are left out, unless `with_session` asks for them.
    ///
    /// The text has secrets: keep it where only its owner can read.
    #[must_use]
    pub fn to_json(&self, with_session: bool) -> String {
        let now = SystemTime::now();
        let held = self.lock();
        let mut entries: Vec<_> = held.by_key.values().flatten().collect();
        entries.retain(|entry| !entry.is_over(now) && (with_session || entry.expires.is_some()));
        entries.sort_by_key(|entry| entry.created);
        let saved: Vec<_> = entries.into_iter().map(Saved::of).collect();
        // Strings, numbers and flags are always JSON.
        serde_json::to_string_pretty(&saved).unwrap_or_default()
    }

    /// Adds the cookies of [`to_json`](MemoryJar::to_json), as if they had just been set.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] with line and column if the text is not such JSON; then nothing has been added.
    pub fn load_json(&self, text: &str) -> Result<()> {
        let saved: Vec<Saved> = serde_json::from_str(text)
            .map_err(|error| Error::new(ErrorKind::Decode, "the saved cookies cannot be read").with_cause(error))?;
        let now = SystemTime::now();
        let mut held = self.lock();
        for entry in saved.into_iter().map(Saved::into_entry).filter(|entry| !entry.is_over(now)) {
            let host = if entry.domain.contains(':') { format!("[{}]", entry.domain) } else { entry.domain.clone() };
            if let Some(place) = Place::of(JarUrl { scheme: "https", host: &host, path: "/" }) {
                held.set(place.key(self.suffixes()), entry, self.config());
            }
        }
        Ok(())
    }
}

impl Saved {
    fn of(entry: &Entry) -> Self {
        let since_1970 = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let same_site = entry.same_site.map(|same_site| format!("{same_site:?}").to_ascii_lowercase());
        Saved {
            name: entry.name.clone(),
            value: entry.value.clone(),
            quoted: entry.quoted,
            domain: entry.domain.clone(),
            host_only: entry.host_only,
            path: entry.path.clone(),
            expires: entry.expires.map(since_1970),
            secure: entry.secure,
            http_only: entry.http_only,
            same_site,
        }
    }

    fn into_entry(self) -> Entry {
        let all = [SameSite::Default, SameSite::Lax, SameSite::Strict, SameSite::None];
        let named =
            |name: String| all.into_iter().find(|same_site| format!("{same_site:?}").eq_ignore_ascii_case(&name));
        Entry {
            name: self.name,
            value: self.value,
            quoted: self.quoted,
            domain: self.domain,
            host_only: self.host_only,
            path: self.path,
            expires: self.expires.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds))),
            secure: self.secure,
            http_only: self.http_only,
            same_site: self.same_site.and_then(named),
            created: 0,
            used: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use roundtrip_types::Cookie;

    use super::*;
    use crate::Jar;

    #[test]
    fn a_jar_survives_as_json() {
        let jar = MemoryJar::new();
        let url = |host| JarUrl { scheme: "https", host, path: "/a/b" };
        for (host, line) in [
            ("www.shop.test", "b=2; Domain=shop.test; Max-Age=1000; Secure; SameSite=Lax"),
            ("www.shop.test", "a=\"1\"; Max-Age=1000; HttpOnly"),
            ("[::1]:80", "six=6; Max-Age=1000"),
            ("www.shop.test", "session=s"),
        ] {
            jar.set_cookies(url(host), vec![Cookie::parse_set_cookie(line.as_bytes()).unwrap()]);
        }
        let copy = MemoryJar::new();
        copy.load_json(&jar.to_json(false)).unwrap();
        let sent = |jar: &MemoryJar, host| {
            jar.cookies(url(host)).iter().map(Cookie::to_request_pair).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(sent(&copy, "www.shop.test"), "b=2; a=\"1\"");
        assert_eq!((sent(&copy, "m.shop.test").as_str(), sent(&copy, "[::1]").as_str()), ("b=2", "six=6"));
        copy.load_json(&jar.to_json(true)).unwrap();
        assert_eq!(sent(&copy, "www.shop.test"), "b=2; a=\"1\"; session=s");
        assert_eq!(copy.to_json(true), jar.to_json(true));
        let error = copy.load_json("[\n{\"name\": 1}]").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(error.to_string().contains("line 2 column"), "{error}");
    }
}
