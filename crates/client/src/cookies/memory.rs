//! The usual jar.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use roundtrip_types::Cookie;

use super::entry::{Change, Entry, Place};
use super::{Jar, JarUrl, ListedSuffixes, PublicSuffixes};

/// The settings of a [`MemoryJar`]: a plain struct to fill in. End a literal with `..JarConfig::default()`: later versions add
/// fields.
#[derive(Clone, Debug)]
pub struct JarConfig {
    /// Under which domains strangers register names, so that no cookie is for all of them.
    ///
    /// Default: Mozilla's list, [`ListedSuffixes`]. `None`: any domain above the host is accepted, but cookies are still kept
    /// apart by the last two labels. `Differs from Go:` `cookiejar.New(nil)` has no list, and accepts `Domain=co.uk`.
    pub suffixes: Option<Arc<dyn PublicSuffixes>>,

    /// How many cookies a registrable domain may have. Default 180, as in browsers. Beyond it the one used least recently is
    /// forgotten. It stops a site from filling the jar, and requests from growing.
    pub max_cookies_per_domain: usize,

    /// How many cookies there may be in all. Default 3,000. Beyond it the one used least recently is forgotten.
    pub max_cookies: usize,

    /// How long name and value may be together, in bytes. Default 4,096 (RFC 6265bis, section 5.6). Longer ones are ignored.
    pub max_cookie_bytes: usize,
}

impl Default for JarConfig {
    fn default() -> Self {
        JarConfig {
            suffixes: Some(Arc::new(ListedSuffixes)),
            max_cookies_per_domain: 180,
            max_cookies: 3000,
            max_cookie_bytes: 4096,
        }
    }
}

/// A [`Jar`] in memory: Go's `cookiejar.Jar`.
///
/// **Shape**: cheap to clone; clones share the cookies. Cookies go out longest path first, then oldest first. The clock is the
/// system's; expired cookies are forgotten when they are met.
///
/// **Source**: RFC 6265 as Go's `net/http/cookiejar` reads it. `Differs from Go:` it has a public suffix list and limits from the
/// start; the prefixes `__Host-` and `__Secure-` bind, as RFC 6265bis has it; an IPv6 address is one host with and without a
/// port; names in other scripts are mapped to lower case. As Go and unlike RFC 6265bis, a site without TLS may set and overwrite
/// `Secure` cookies, `SameSite` is kept but not applied (there is no other site here), and lifetimes have no maximum.
///
/// ```
/// use roundtrip_client::{Jar, JarUrl, MemoryJar};
/// use roundtrip_types::Cookie;
///
/// let jar = MemoryJar::new();
/// let login = JarUrl { scheme: "https", host: "id.example.com", path: "/login" };
/// let cookie = Cookie::parse_set_cookie(b"sid=31d4; Domain=example.com; Path=/")?;
/// jar.set_cookies(login, vec![cookie]);
/// let shop = JarUrl { scheme: "https", host: "shop.example.com", path: "/" };
/// assert_eq!(jar.cookies(shop)[0].value, "31d4");
/// # Ok::<(), roundtrip_types::CookieError>(())
/// ```
#[derive(Clone)]
pub struct MemoryJar {
    config: Arc<JarConfig>,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
pub(super) struct Held {
    /// Cookies by registrable domain.
    pub(super) by_key: HashMap<String, Vec<Entry>>,
    /// Larger than every `created` and `used`.
    pub(super) clock: u64,
    /// How many entries there are.
    pub(super) count: usize,
}

impl MemoryJar {
    /// An empty jar with the default [`JarConfig`].
    #[must_use]
    pub fn new() -> Self {
        MemoryJar::with_config(JarConfig::default())
    }

    /// An empty jar with settings of your own.
    #[must_use]
    pub fn with_config(config: JarConfig) -> Self {
        MemoryJar { config: Arc::new(config), held: Arc::default() }
    }

    /// How many cookies it holds, expired ones included that have not been met.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().count
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all.
    pub fn clear(&self) {
        *self.lock() = Held::default();
    }

    #[cfg(feature = "json")]
    pub(super) fn config(&self) -> &JarConfig {
        &self.config
    }

    pub(super) fn suffixes(&self) -> Option<&dyn PublicSuffixes> {
        self.config.suffixes.as_deref()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Held> {
        // Every change is complete or not begun, so a panic elsewhere has left nothing half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryJar {
    fn default() -> Self {
        MemoryJar::new()
    }
}

impl Jar for MemoryJar {
    fn cookies(&self, url: JarUrl<'_>) -> Vec<Cookie> {
        let Some(place) = Place::of(url) else { return Vec::new() };
        let now = SystemTime::now();
        let mut held = self.lock();
        let Held { by_key, clock, count } = &mut *held;
        let Some(entries) = by_key.get_mut(place.key(self.suffixes())) else { return Vec::new() };
        *count -= entries.len();
        entries.retain(|entry| !entry.is_over(now));
        *count += entries.len();
        *clock += 1;
        let mut going: Vec<_> = entries.iter_mut().filter(|entry| entry.goes_to(&place)).collect();
        going.iter_mut().for_each(|entry| entry.used = *clock);
        going.sort_by(|a, b| b.path.cmp(&a.path).then(a.created.cmp(&b.created)));
        going.into_iter().map(|entry| entry.to_cookie()).collect()
    }

    fn set_cookies(&self, url: JarUrl<'_>, cookies: Vec<Cookie>) {
        let Some(place) = Place::of(url) else { return };
        let now = SystemTime::now();
        let key = place.key(self.suffixes());
        let mut held = self.lock();
        for cookie in cookies {
            if cookie.name.len() + cookie.value.len() > self.config.max_cookie_bytes {
                continue;
            }
            match Entry::change(cookie, &place, self.suffixes(), now) {
                Some(Change::Set(entry)) => held.set(key, entry, &self.config),
                Some(Change::Delete(entry)) => held.delete(key, &entry),
                None => {}
            }
        }
    }
}

impl Held {
    /// Remembers `entry` in place of the one that it replaces, within the limits.
    pub(super) fn set(&mut self, key: &str, mut entry: Entry, config: &JarConfig) {
        self.clock += 1;
        (entry.created, entry.used) = (self.clock, self.clock);
        let entries = match self.by_key.get_mut(key) {
            Some(entries) => entries,
            None => self.by_key.entry(key.to_owned()).or_default(),
        };
        if let Some(old) = entries.iter_mut().find(|old| entry.replaces(old)) {
            entry.created = old.created;
            *old = entry;
            return;
        }
        entries.push(entry);
        self.count += 1;
        if entries.len() > config.max_cookies_per_domain {
            forget_least_used(entries);
            self.count -= 1;
        } else if self.count > config.max_cookies {
            self.forget_least_used_of_all();
        }
    }

    fn delete(&mut self, key: &str, entry: &Entry) {
        let Some(entries) = self.by_key.get_mut(key) else { return };
        self.count -= entries.len();
        entries.retain(|old| !entry.replaces(old));
        self.count += entries.len();
        if entries.is_empty() {
            self.by_key.remove(key);
        }
    }

    fn forget_least_used_of_all(&mut self) {
        let oldest = |entries: &Vec<Entry>| entries.iter().map(|entry| entry.used).min();
        let Some((key, _)) = self.by_key.iter().min_by_key(|(_, entries)| oldest(entries)) else { return };
        let key = key.clone();
        if let Some(entries) = self.by_key.get_mut(&key) {
            forget_least_used(entries);
            self.count -= 1;
            if entries.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }
}

fn forget_least_used(entries: &mut Vec<Entry>) {
    if let Some((at, _)) = entries.iter().enumerate().min_by_key(|(_, entry)| entry.used) {
        entries.remove(at);
    }
}

impl fmt::Debug for MemoryJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryJar({} cookies)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(jar: &MemoryJar, host: &str, line: &str) {
        let cookie = Cookie::parse_set_cookie(line.as_bytes()).unwrap();
        jar.set_cookies(JarUrl { scheme: "https", host, path: "/" }, vec![cookie]);
    }

    fn sent(jar: &MemoryJar, host: &str) -> String {
        let cookies = jar.cookies(JarUrl { scheme: "https", host, path: "/" });
        cookies.iter().map(Cookie::to_request_pair).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn the_real_list_keeps_neighbours_apart() {
        let jar = MemoryJar::new();
        for domain in ["co.uk", "github.io", "uk", "com"] {
            set(&jar, &format!("a.{domain}"), &format!("x=1; Domain={domain}"));
            assert_eq!(sent(&jar, &format!("b.{domain}")), "", "{domain}");
        }
        set(&jar, "www.shop.co.uk", "x=1; Domain=shop.co.uk");
        assert_eq!(sent(&jar, "shop.co.uk"), "x=1");
    }

    #[test]
    fn limits_forget_what_was_used_least_recently() {
        let config =
            JarConfig { max_cookies_per_domain: 2, max_cookies: 3, max_cookie_bytes: 10, ..JarConfig::default() };
        let jar = MemoryJar::with_config(config);
        set(&jar, "a.test", "one=1");
        set(&jar, "a.test", "two=2; Path=/p");
        // Used now, while the other one was not.
        assert_eq!(sent(&jar, "a.test"), "one=1");
        set(&jar, "a.test", "three=3");
        assert_eq!(sent(&jar, "a.test"), "one=1; three=3");
        set(&jar, "b.test", "b=1");
        set(&jar, "c.test", "c=1");
        assert_eq!((jar.len(), sent(&jar, "b.test").as_str(), sent(&jar, "c.test").as_str()), (3, "b=1", "c=1"));
        set(&jar, "d.test", "long=0123456789");
        assert_eq!((sent(&jar, "d.test").as_str(), jar.len()), ("", 3));
        jar.clear();
        assert!(jar.is_empty());
    }

    #[test]
    fn prefixes_bind() {
        let jar = MemoryJar::new();
        for (line, accepted) in [
            ("__Host-a=1; Secure; Path=/", true),
            ("__Host-a=1; Secure; Path=/x", false),
            ("__Host-a=1; Path=/", false),
            ("__host-a=1; Secure; Path=/; Domain=a.test", false),
            ("__Secure-a=1; Secure; Domain=a.test", true),
            ("__Secure-a=1", false),
        ] {
            jar.clear();
            set(&jar, "a.test", line);
            assert_eq!(!jar.is_empty(), accepted, "{line}");
        }
    }

    #[test]
    fn an_address_is_one_host_however_it_is_written() {
        let jar = MemoryJar::new();
        set(&jar, "[::1]:8080", "a=1; Domain=::1");
        set(&jar, "[::1]", "b=2; Domain=[::1]");
        set(&jar, "[::1]", "c=3; Domain=::2");
        assert_eq!(sent(&jar, "[::1]:1"), "a=1; b=2");
        assert_eq!(sent(&jar, "[::2]"), "");
        assert_eq!(format!("{jar:?}"), "MemoryJar(2 cookies)");
    }

    proptest! {
        #[test]
        fn any_script_keeps_the_counts_and_the_limits(steps in prop::collection::vec((0..6_usize, "[ab]{1,2}", 0..8_usize, any::<bool>()), 0..60)) {
            let hosts = ["a.test", "b.a.test", "localhost", "[::1]:80", "..", "\u{fc}.test"];
            let tails = ["", "; Domain=a.test", "; Path=/x", "; Max-Age=0", "; Domain=.", "; Secure", "; Max-Age=9", "; Domain=test"];
            let config = JarConfig { max_cookies_per_domain: 3, max_cookies: 5, ..JarConfig::default() };
            let jar = MemoryJar::with_config(config);
            for (host, name, tail, is_set) in steps {
                if is_set {
                    set(&jar, hosts[host], &format!("{name}=1{}", tails[tail]));
                } else {
                    sent(&jar, hosts[host]);
                }
                let held = jar.lock();
                prop_assert_eq!(held.by_key.values().map(Vec::len).sum::<usize>(), held.count);
                prop_assert!(held.count <= 5 && held.by_key.values().all(|entries| entries.len() <= 3));
            }
        }
    }
}
