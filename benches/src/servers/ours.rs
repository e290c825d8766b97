//! Our server as it is by default, every limit on.

use std::time::Duration;

use roundtrip_mux::ServeMux;
use roundtrip_server::{ListenOptions, Listener, Server};
use roundtrip_types::Handler;

use super::{Ends, GREETING, Plan, STOP, Threads, greet_after, listen, said, say, told};

pub(super) async fn with_handler(plan: Plan) -> Result<(), String> {
    if plan.delay.is_zero() {
        serve(|_req| async { GREETING }, plan).await
    } else {
        serve(move |_req| greet_after(plan.delay), plan).await
    }
}

pub(super) async fn with_mux(plan: Plan) -> Result<(), String> {
    let mux = ServeMux::new();
    if plan.delay.is_zero() {
        mux.handle("/", |_req| async { GREETING });
    } else {
        mux.handle("/", move |_req| greet_after(plan.delay));
    }
    serve(mux, plan).await
}

async fn serve(handler: impl Handler, plan: Plan) -> Result<(), String> {
    let server = Server::new(handler);
    let serving = if plan.threads == Threads::PerCore {
        let sockets = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let options = ListenOptions { sockets, ..ListenOptions::default() };
        let listener = Listener::bind_with("127.0.0.1:0", &options).await.map_err(said)?;
        say(&listener.local_addr().to_string());
        tokio::spawn(server.serve_per_core(listener))
    } else {
        tokio::spawn(server.serve(listen().await?))
    };
    match plan.ends {
        // Told by dropping as well as by sending.
        Ends::WhenTold => drop(told().await),
        Ends::WithLastConnection => {
            while server.stats().accepted == 0 || server.stats().open > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    server.shutdown(STOP).await;
    serving.await.map_err(said)?.map_err(said)
}
