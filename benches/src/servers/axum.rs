//! axum with one route, served by `axum::serve`.

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt as _;

use super::{GREETING, Plan, STOP, greet_after, listen, said, told};

pub(super) async fn serve(plan: Plan) -> Result<(), String> {
    let listener = listen().await?.tap_io(|stream| {
        // Without it the client would only wait longer.
        let _ = stream.set_nodelay(true);
    });
    let router = if plan.delay.is_zero() {
        Router::new().route("/", get(|| async { GREETING }))
    } else {
        Router::new().route("/", get(move || greet_after(plan.delay)))
    };
    let (stopping, begun) = tokio::sync::oneshot::channel();
    let told = told();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        drop(told.await);
        // Somebody waits, since serving goes on.
        let _ = stopping.send(());
    });
    // axum itself waits for ever.
    let late = async {
        drop(begun.await);
        tokio::time::sleep(STOP).await;
    };
    tokio::select! {
        served = async { serving.await } => served.map_err(said),
        () = late => Err("still not stopped".into()),
    }
}
