//! The cases of one file, and what came of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::known_keys;

/// Failures that are told in full; more of them say no more.
const SHOWN: usize = 400;

/// The cases of one file, and what came of them.
#[derive(Debug)]
pub struct Run {
    /// The file's name.
    pub file: &'static str,
    /// The whole file.
    pub data: Value,
    /// The slugs that differs.json has for it.
    listed: BTreeSet<String>,
    passed: usize,
    differs: BTreeMap<&'static str, usize>,
    elsewhere: BTreeMap<&'static str, usize>,
    partly: BTreeMap<&'static str, Vec<String>>,
    failures: Vec<String>,
}

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As Go does it.
    Passed,
    /// Not as Go does it, but as the difference of this slug promises.
    Differs(&'static str),
    /// Not this crate's to check: whose it is.
    Elsewhere(&'static str),
    /// Neither, and what came instead.
    Failed(String),
}

impl Outcome {
    /// Passed if both are the same.
    #[must_use]
    pub fn same(got: &Value, want: &Value) -> Self {
        if got == want { Outcome::Passed } else { Outcome::Failed(format!("got {got}, want {want}")) }
    }
}

impl Run {
    /// Reads a file of the crate at `manifest_dir` (`env!("CARGO_MANIFEST_DIR")`), or of the folder `ROUNDTRIP_GOLDEN_DIR` names.
    ///
    /// # Panics
    /// A file is missing or no JSON.
    #[must_use]
    pub fn load(manifest_dir: &str, file: &'static str) -> Self {
        let own = Path::new(manifest_dir).join("tests/golden");
        let folder = std::env::var_os("ROUNDTRIP_GOLDEN_DIR").map_or_else(|| own.clone(), PathBuf::from);
        let differences = json(&own.join("differs.json"));
        let of_file =
            differences.as_array().expect("differs.json is a list").iter().filter(|one| one["subject"] == file);
        let listed = of_file.map(|one| one["slug"].as_str().expect("a slug is text").to_owned()).collect();
        Run {
            file,
            data: json(&folder.join(file)),
            listed,
            passed: 0,
            differs: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            partly: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    /// The cases, in the file's order.
    ///
    /// # Panics
    /// There is no list of them.
    #[must_use]
    pub fn cases(&self) -> Vec<Value> {
        self.data["cases"].as_array().expect("cases is a list").clone()
    }

    /// Whether the file has the usual keys and its cases none but `keys`.
    ///
    /// # Panics
    /// They have others, which a runner would overlook.
    #[must_use]
    pub fn with_keys(self, keys: &[&str]) -> Self {
        known_keys(&self.data, &["subject", "oracle", "format", "cases"]);
        self.cases().iter().for_each(|case| known_keys(case, keys));
        self
    }

    /// Checks all cases in order; they have none but `keys`.
    pub fn check(&mut self, keys: &[&str], mut check: impl FnMut(&Value) -> Outcome) {
        for (index, case) in self.cases().iter().enumerate() {
            known_keys(case, keys);
            let outcome = check(case);
            self.score(index, outcome);
        }
    }

    /// Takes down what came of a case.
    pub fn score(&mut self, index: usize, outcome: Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Differs(slug) => *self.differs.entry(slug).or_default() += 1,
            Outcome::Elsewhere(whose) => *self.elsewhere.entry(whose).or_default() += 1,
            Outcome::Failed(why) => {
                let case = &self.data["cases"][index];
                // Cases with a name can be found by it; the others are short enough to be shown.
                let shown = match (&case["name"], &case["preview"]) {
                    (Value::String(name), Value::String(preview)) => format!("{name}: {preview}"),
                    (Value::String(name), _) => name.clone(),
                    _ => case.to_string(),
                };
                self.failures.push(format!("{} case {index} {shown}\n    {why}", self.file));
            }
        }
    }

    /// Names a case of which the crate can check a part only.
    pub fn partly(&mut self, index: usize, why: &'static str) {
        let name = self.name(index);
        self.partly.entry(why).or_default().push(name);
    }

    /// A case's name, or `?`.
    #[must_use]
    pub fn name(&self, index: usize) -> String {
        self.data["cases"][index]["name"].as_str().unwrap_or("?").to_owned()
    }

    /// Prints the score.
    ///
    /// # Panics
    /// A case failed, or was judged by a difference that differs.json does not list.
    pub fn finish(self) {
        let differs: usize = self.differs.values().sum();
        println!("{}: {} passed, {} failed, {differs} differs", self.file, self.passed, self.failures.len());
        for (whose, cases) in &self.elsewhere {
            println!("{}: {cases} cases belong to {whose}", self.file);
        }
        for (why, names) in &self.partly {
            println!("{}: {} checked in part ({why}): {}", self.file, names.len(), names.join(" "));
        }
        for slug in self.listed.iter().filter(|slug| !self.differs.contains_key(slug.as_str())) {
            println!("{}: the difference {slug} applies to no case here", self.file);
        }
        let unlisted: Vec<_> = self.differs.keys().filter(|slug| !self.listed.contains(**slug)).collect();
        assert!(unlisted.is_empty(), "differences without an entry in differs.json: {unlisted:?}");
        let shown = self.failures.iter().take(SHOWN).fold(String::new(), |mut text, failure| {
            let _ = writeln!(text, "{failure}");
            text
        });
        assert!(self.failures.is_empty(), "{} failed:\n{shown}", self.failures.len());
    }
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(cases: Value) -> Run {
        Run {
            file: "made.json",
            data: json!({"subject": "made", "oracle": "", "format": 1, "cases": cases}),
            listed: BTreeSet::from(["known".to_owned()]),
            passed: 0,
            differs: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            partly: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    #[test]
    fn passes_and_listed_differences_are_well() {
        let mut run = run(json!([{"in": 1, "out": 1}, {"in": 2, "out": 3}])).with_keys(&["in", "out"]);
        run.check(&["in", "out"], |case| match Outcome::same(&case["in"], &case["out"]) {
            Outcome::Failed(_) => Outcome::Differs("known"),
            same => same,
        });
        assert_eq!((run.passed, run.differs["known"]), (1, 1));
        run.finish();
    }

    #[test]
    #[should_panic(expected = "1 failed:\nmade.json case 1 {\"in\":2,\"out\":3}\n    got 2, want 3")]
    fn a_failure_is_told_with_its_case() {
        let mut run = run(json!([{"in": 1, "out": 1}, {"in": 2, "out": 3}]));
        run.check(&["in", "out"], |case| Outcome::same(&case["in"], &case["out"]));
        run.finish();
    }

    #[test]
    #[should_panic(expected = "differences without an entry in differs.json: [\"unknown\"]")]
    fn a_difference_has_to_be_listed() {
        let mut run = run(json!([{}]));
        run.check(&[], |_| Outcome::Differs("unknown"));
        run.finish();
    }

    #[test]
    #[should_panic(expected = "unknown keys [\"more\"]")]
    fn a_key_that_nobody_reads_is_a_failure() {
        let _ = run(json!([{"in": 1, "more": 2}])).with_keys(&["in"]);
    }
}
