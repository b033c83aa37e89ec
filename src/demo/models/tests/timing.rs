//! Delays, and requests that wait.

use std::time::Instant;

use super::*;

#[tokio::test]
async fn a_slow_answer_is_late_but_whole() {
    let delay = Duration::from_millis(30);
    for fault in [Fault::Slow(delay), Fault::SlowBody(delay)] {
        let caller = Caller::with_fault(Embeddings, fault).await;
        let began = Instant::now();
        assert_eq!(rows_of(caller.embed_two().await).await.len(), 2);
        assert!(began.elapsed() >= delay);
    }
}

#[tokio::test]
async fn a_slow_answer_runs_into_the_time_limit_of_the_client() {
    let hour = Duration::from_hours(1);
    let caller = Caller::with_fault(Embeddings, Fault::Slow(hour)).await;
    caller.server.script().queue(Embeddings, [Fault::SlowBody(hour)]);
    let ask = |limit| {
        let request = caller.post("/embeddings", &json!({"model": "m", "input": "text"}));
        request.timeout(Duration::from_millis(limit)).send()
    };
    assert!(ask(50).await.unwrap_err().is_timeout());
    assert!(ask(3000).await.unwrap().bytes().await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn a_held_request_waits_until_it_is_released() {
    let caller = Caller::with_fault(Embeddings, Fault::Held).await;
    let script = caller.server.script();
    let release = async {
        script.arrived(Embeddings, 1).await;
        // The held request does not hold the next one.
        assert_eq!(caller.embed_two().await.status(), 200);
        script.release();
    };
    let (held, ()) = tokio::join!(caller.embed_two(), release);
    assert_eq!(held.status(), 200);
}

#[tokio::test]
async fn latency_is_added_to_every_answer() {
    let latency = Duration::from_millis(20);
    let caller = Caller::with(Models::new(Embedder::hash(8), Completer::Echo).with_latency(latency)).await;
    let began = Instant::now();
    caller.embed_two().await;
    caller.chat(json!({})).await;
    assert!(began.elapsed() >= 2 * latency);
}

#[tokio::test]
async fn a_stopping_server_ends_the_answers_under_way_and_takes_no_more() {
    let Caller { server, http } = Caller::with_fault(Embeddings, Fault::Held).await;
    let url = format!("{}/embeddings", server.base_url());
    let ask = || http.post(&url).json(&json!({"model": "m", "input": "text"})).send();
    let script = server.script().clone();
    let stop = async {
        script.arrived(Embeddings, 1).await;
        server.stop().await;
    };
    let (held, ()) = tokio::join!(ask(), stop);
    assert_eq!(held.unwrap().status(), 200);
    assert!(ask().await.unwrap_err().is_connect());
}
