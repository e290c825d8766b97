//! Starting peers, and files for them.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// A folder with pages, a certificate for localhost, and the authority that issued it.
pub(crate) struct Folder {
    path: PathBuf,
    authority: String,
}

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("roundtrip-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        fs::write(path.join("cert.pem"), certificate.pem()).unwrap();
        fs::write(path.join("key.pem"), key.serialize_pem()).unwrap();
        let folder = Folder { path, authority: authority.pem() };
        fs::write(folder.file("page.html"), folder.page()).unwrap();
        fs::write(folder.file("large.bin"), vec![7; folder.large()]).unwrap();
        folder
    }

    pub(crate) fn authority_pem(&self) -> &str {
        &self.authority
    }

    #[allow(clippy::unused_self)] // it is this folder's
    pub(crate) fn page(&self) -> String {
        "<p>hello, hello, hello</p>\n".repeat(1000)
    }

    #[allow(clippy::unused_self)] // it is this folder's
    pub(crate) fn large(&self) -> usize {
        20 << 20
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.file(name), text).unwrap();
        self.file(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A process that listens, and ends with the test.
pub(crate) struct Peer {
    child: Child,
    plain: u16,
    tls: u16,
}

impl Peer {
    /// Starts a program and waits until it listens on both ports.
    async fn start(command: &mut Command, plain: u16, tls: u16) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
        let mut peer = Peer { child, plain, tls };
        for port in [plain, tls] {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            while tokio::net::TcpStream::connect(address).await.is_err() {
                let ended = peer.child.try_wait().unwrap();
                assert!(ended.is_none(), "{:?} ended: {ended:?}", command.get_program());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        peer
    }

    pub(crate) fn http(&self) -> String {
        format!("http://localhost:{}/", self.plain)
    }

    pub(crate) fn https(&self) -> String {
        format!("https://localhost:{}/", self.tls)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.plain))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// nginx with its plain and TLS ports.
pub(crate) struct Nginx(Peer);

impl Nginx {
    pub(crate) async fn start(folder: &Folder) -> Self {
        let (plain, tls) = (port(), port());
        let root = folder.path.display();
        let user = if is_root() { "user root;" } else { "" };
        let config = folder.write(
            "nginx.conf",
            &format!(
                "{user} daemon off; master_process off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log;
                events {{ worker_connections 256; }}
                http {{
                    access_log off; types {{ text/html html; }} default_type application/octet-stream; gzip on;
                    client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
                    uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
                    client_max_body_size 10m; keepalive_requests 5;
                    server {{
                        listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl http2; server_name localhost; root {root};
                        ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem;
                    }}
                }}"
            ),
        );
        let mut nginx = Command::new("nginx");
        nginx.arg("-p").arg(&folder.path).arg("-c").arg(config).arg("-e").arg(folder.file("error.log"));
        Nginx(Peer::start(&mut nginx, plain, tls).await)
    }

    pub(crate) fn http(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.0.plain)
    }

    pub(crate) fn https(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.0.tls)
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;

    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Node with servers that echo, HTTP/1.1 in plain text and HTTP/2 over TLS.
pub(crate) async fn node(folder: &Folder) -> Peer {
    let (plain, tls) = (port(), port());
    let script = folder.write(
        "echo.js",
        "const fs = require('fs'), [plain, tls] = process.argv.slice(2);
        const echo = (req, res) => { res.writeHead(200); res.flushHeaders?.(); req.pipe(res); };
        require('http').createServer(echo).listen(plain, '127.0.0.1');
        require('http2').createSecureServer({ key: fs.readFileSync('key.pem'), cert: fs.readFileSync('cert.pem') }, echo)
            .listen(tls, '127.0.0.1');",
    );
    let mut node = Command::new("node");
    node.arg(script).arg(plain.to_string()).arg(tls.to_string()).current_dir(&folder.path);
    Peer::start(&mut node, plain, tls).await
}

/// `python3 -m http.server`, which speaks HTTP/1.0.
pub(crate) async fn http_server_of_python(folder: &Folder) -> Peer {
    let plain = port();
    let mut python = Command::new("python3");
    python.args(["-m", "http.server", "--bind", "127.0.0.1"]).arg(plain.to_string()).current_dir(&folder.path);
    Peer::start(&mut python, plain, plain).await
}

/// tinyproxy, which knows `ann` with the password `secret`.
pub(crate) async fn tinyproxy(folder: &Folder) -> Peer {
    let port = port();
    let config = folder.write(
        "tinyproxy.conf",
        &format!("Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nBasicAuth ann secret\nLogLevel Critical\n"),
    );
    Peer::start(Command::new("tinyproxy").arg("-d").arg("-c").arg(Path::new(&config)), port, port).await
}

/// microsocks, with these arguments.
pub(crate) async fn microsocks(args: &[&str]) -> Peer {
    let port = port();
    let mut microsocks = Command::new("microsocks");
    microsocks.args(["-i", "127.0.0.1", "-p"]).arg(port.to_string()).args(args);
    Peer::start(&mut microsocks, port, port).await
}
