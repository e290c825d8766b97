//! What Go does with cookies, Basic authentication, forms and dates, case by case. `golden/README.md` has the format.

// clippy.toml lets tests unwrap and print; here their helpers do.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use http::Method;
use roundtrip_golden::{Outcome, Run, bytes, known_keys, text_or_base64};
use roundtrip_types::{BasicAuth, Cookie, CookieError, Form, FormFault, FormValues, HttpDate, SameSite};
use serde_json::{Map, Value, json};

#[test]
fn golden_cookie_set_parse() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "cookie_set_parse.json");
    run.check(&["line", "cookie", "error", "note", "quirks"], |case| {
        let got = match Cookie::parse_set_cookie(&bytes(&case["line"])) {
            Ok(cookie) => json!({"cookie": in_words(&cookie)}),
            Err(error) => json!({"error": slug(error)}),
        };
        let mut want = case.clone();
        want.as_object_mut().unwrap().retain(|key, _| key == "cookie" || key == "error");
        Outcome::same(&got, &want)
    });
    run.finish();
}

#[test]
fn golden_cookie_header_parse() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "cookie_header_parse.json");
    run.check(&["lines", "lenient", "strict", "note", "quirks"], |case| {
        let triples = |cookies: Vec<Cookie>| {
            cookies.into_iter().map(|cookie| json!([cookie.name, cookie.value, cookie.quoted])).collect::<Value>()
        };
        let lines: Vec<_> = case["lines"].as_array().unwrap().iter().map(bytes).collect();
        let got = triples(Cookie::parse_request_lines(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>()));
        if got != case["lenient"] {
            return Outcome::Failed(format!("lenient: got {got}"));
        }
        let Some(want) = case.get("strict") else { return Outcome::Passed };
        let got = match Cookie::parse_request(&lines[0]) {
            Ok(cookies) => triples(cookies),
            Err(error) => json!({"error": slug(error)}),
        };
        Outcome::same(&got, want)
    });
    run.finish();
}

#[test]
fn golden_cookie_write() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "cookie_write.json");
    run.check(&["fields", "set_cookie", "valid", "cookie", "note", "quirks"], |case| {
        let fields = &case["fields"];
        let keys = [
            "name",
            "value",
            "quoted",
            "path",
            "domain",
            "expires",
            "max_age",
            "secure",
            "http_only",
            "same_site",
            "partitioned",
        ];
        known_keys(fields, &keys);
        // Bytes that are not text are replaced here. Neither they nor the replacement may stand in a cookie.
        let text = |key: &str| match fields.get(key) {
            Some(value) => String::from_utf8_lossy(&bytes(value)).into_owned(),
            None => String::new(),
        };
        let is_set = |key: &str| fields[key].as_bool().unwrap_or_default();
        let mut cookie = Cookie::new(text("name"), text("value"));
        cookie.quoted = is_set("quoted");
        cookie.path = text("path");
        cookie.domain = text("domain");
        cookie.expires = fields["expires"].as_i64().map(HttpDate::from_unix_seconds);
        cookie.max_age = fields["max_age"].as_i64();
        cookie.secure = is_set("secure");
        cookie.http_only = is_set("http_only");
        cookie.same_site = fields["same_site"].as_str().map(same_site);
        cookie.partitioned = is_set("partitioned");
        let valid = cookie.validate().map_or_else(|error| json!(slug(error)), |()| json!(true));
        let mut got = json!({"set_cookie": cookie.to_set_cookie().unwrap_or_default(), "valid": valid});
        let mut want = json!({"set_cookie": case["set_cookie"], "valid": case["valid"]});
        if std::str::from_utf8(&bytes(&fields["name"])).is_err() {
            return if got == want { Outcome::Differs("name_not_text") } else { Outcome::same(&got, &want) };
        }
        got["cookie"] = json!(cookie.to_request_pair());
        want["cookie"] = case["cookie"].clone();
        Outcome::same(&got, &want)
    });
    run.finish();
}

#[test]
fn golden_basic_auth() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "basic_auth.json");
    run.check(&["kind", "header", "ok", "username", "password", "note", "quirks"], |case| {
        match case["kind"].as_str() {
            Some("parse") => {
                let first = match &case["header"] {
                    Value::Null => None,
                    Value::Array(headers) => headers.first().map(bytes),
                    header => Some(bytes(header)),
                };
                let got = match first.and_then(|value| BasicAuth::parse(&value)) {
                    Some(auth) => json!({
                        "ok": true,
                        "username": text_or_base64(auth.username_bytes()),
                        "password": text_or_base64(auth.password_bytes()),
                    }),
                    None => json!({"ok": false}),
                };
                let mut want = case.clone();
                want.as_object_mut().unwrap().retain(|key, _| ["ok", "username", "password"].contains(&key.as_str()));
                Outcome::same(&got, &want)
            }
            Some("set") => {
                let auth = BasicAuth::new(bytes(&case["username"]), bytes(&case["password"]));
                Outcome::same(&json!(auth.to_header_value().to_str().unwrap()), &case["header"])
            }
            other => panic!("a kind that this runner does not know: {other:?}"),
        }
    });
    run.finish();
}

#[test]
fn golden_form_urlencoded() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "form_urlencoded.json");
    let keys = [
        "kind",
        "text",
        "values",
        "error",
        "method",
        "query",
        "content_type",
        "body",
        "form",
        "post_form",
        "note",
        "quirks",
    ];
    run.check(&keys, |case| {
        let optional = |key: &str| Some(&case[key]).filter(|value| !value.is_null()).map(bytes);
        match case["kind"].as_str() {
            Some("query") => {
                let (values, fault) = FormValues::parse_lenient(&bytes(&case["text"]));
                let got = json!({"values": grouped(&values), "error": fault.map(fault_slug)});
                Outcome::same(&got, &json!({"values": case["values"], "error": case["error"]}))
            }
            Some("form") => {
                let method: Method = case["method"].as_str().unwrap().parse().unwrap();
                let (content_type, body) = (optional("content_type"), optional("body"));
                let form = Form::parse(&method, &bytes(&case["query"]), content_type.as_deref(), body.as_deref());
                let got = json!({
                    "form": grouped(&form.all),
                    "post_form": grouped(&form.body),
                    "error": form.fault.map(fault_slug),
                });
                let want = json!({"form": case["form"], "post_form": case["post_form"], "error": case["error"]});
                Outcome::same(&got, &want)
            }
            Some("encode") => {
                let mut values = FormValues::new();
                for entry in case["values"].as_array().unwrap() {
                    for value in entry[1].as_array().unwrap() {
                        values.append(bytes(&entry[0]), bytes(value));
                    }
                }
                Outcome::same(&json!(values.encode()), &case["text"])
            }
            other => panic!("a kind that this runner does not know: {other:?}"),
        }
    });
    run.finish();
}

#[test]
fn golden_http_date() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "http_date.json");
    run.check(&["kind", "text", "unix", "nanos", "error", "note", "quirks"], |case| match case["kind"].as_str() {
        Some("parse") => {
            // What is not text is no date.
            let parsed = String::from_utf8(bytes(&case["text"])).ok().and_then(|text| text.parse::<HttpDate>().ok());
            let got = match parsed {
                Some(date) => json!([date.unix_seconds(), date.subsec_nanos()]),
                None => json!("error"),
            };
            let want = match case["error"].as_bool() {
                Some(true) => json!("error"),
                _ => json!([case["unix"], case["nanos"].as_u64().unwrap_or_default()]),
            };
            Outcome::same(&got, &want)
        }
        Some("format") => {
            let date = HttpDate::from_unix_seconds(case["unix"].as_i64().unwrap());
            Outcome::same(&json!(date.to_string()), &case["text"])
        }
        other => panic!("a kind that this runner does not know: {other:?}"),
    });
    run.finish();
}

/// A cookie in the words of the files: only what is not the zero value.
fn in_words(cookie: &Cookie) -> Value {
    let mut words = Map::new();
    words.insert("name".into(), json!(cookie.name));
    words.insert("value".into(), json!(cookie.value));
    let mut add = |key: &str, value: Value| {
        if ![json!(""), json!(false), json!(null), json!([])].contains(&value) {
            words.insert(key.into(), value);
        }
    };
    add("quoted", json!(cookie.quoted));
    add("path", json!(cookie.path));
    add("domain", json!(cookie.domain));
    add("expires", json!(cookie.expires.map(HttpDate::unix_seconds)));
    add("raw_expires", json!(cookie.raw_expires));
    add("max_age", json!(cookie.max_age));
    add("secure", json!(cookie.secure));
    add("http_only", json!(cookie.http_only));
    add("same_site", json!(cookie.same_site.map(same_site_slug)));
    add("partitioned", json!(cookie.partitioned));
    add("unparsed", cookie.unparsed.iter().map(|text| text_or_base64(text)).collect());
    words.into()
}

fn same_site_slug(same_site: SameSite) -> &'static str {
    match same_site {
        SameSite::Default => "default",
        SameSite::Lax => "lax",
        SameSite::Strict => "strict",
        SameSite::None => "none",
    }
}

fn same_site(slug: &str) -> SameSite {
    let all = [SameSite::Default, SameSite::Lax, SameSite::Strict, SameSite::None];
    all.into_iter().find(|same_site| same_site_slug(*same_site) == slug).unwrap()
}

fn slug(error: CookieError) -> &'static str {
    match error {
        CookieError::Blank => "blank",
        CookieError::MissingEquals => "missing_equals",
        CookieError::InvalidName => "invalid_name",
        CookieError::InvalidValue => "invalid_value",
        CookieError::InvalidPath => "invalid_path",
        CookieError::InvalidDomain => "invalid_domain",
        CookieError::InvalidExpires => "invalid_expires",
        CookieError::PartitionedWithoutSecure => "partitioned_without_secure",
        CookieError::TooMany => "too_many",
        other => panic!("an error that this runner does not know: {other:?}"),
    }
}

fn fault_slug(fault: FormFault) -> &'static str {
    match fault {
        FormFault::Semicolon => "semicolon",
        FormFault::BadEscape => "bad_escape",
        FormFault::TooMany => "too_many",
        FormFault::BadContentType => "bad_content_type",
        FormFault::MissingBody => "missing_body",
        other => panic!("a fault that this runner does not know: {other:?}"),
    }
}

/// Values by name, names sorted, as the file has them.
fn grouped(values: &FormValues) -> Value {
    let mut names: Vec<_> = values.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    let group = |name: &&[u8]| {
        let of_name = values.iter().filter(|(other, _)| other == name);
        json!([text_or_base64(name), of_name.map(|(_, value)| text_or_base64(value)).collect::<Value>()])
    };
    names.iter().map(group).collect()
}
