//! actix-web with one route and one worker.

use std::time::Duration;

use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpServer, web};

use super::{GREETING, Plan, STOP, greet_after, said, say, told};

pub(super) fn serve(plan: Plan) -> Result<(), String> {
    actix_web::rt::System::new().block_on(async move {
        let delay = plan.delay;
        let app = move || {
            let app = App::new();
            if delay.is_zero() {
                app.route("/", web::get().to(|| async { GREETING }))
            } else {
                app.route("/", web::get().to(move || greet_after(delay)))
            }
        };
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let server = HttpServer::new(app)
            .workers(workers)
            .disable_signals()
            // Five seconds by default: idle connections have to last as long as they are looked at.
            .keep_alive(Duration::from_secs(75))
            .shutdown_timeout(STOP.as_secs())
            .on_connect(|stream, _| {
                if let Some(stream) = stream.downcast_ref::<TcpStream>() {
                    // Without it the client would only wait longer.
                    let _ = stream.set_nodelay(true);
                }
            })
            .bind("127.0.0.1:0")
            .map_err(said)?;
        let addr = server.addrs().first().copied().ok_or("no address")?;
        let server = server.run();
        let handle = server.handle();
        let serving = actix_web::rt::spawn(server);
        say(&addr.to_string());
        drop(told().await);
        handle.stop(true).await;
        serving.await.map_err(said)?.map_err(said)
    })
}
