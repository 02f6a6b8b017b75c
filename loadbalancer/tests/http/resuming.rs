//! A download that loses its server goes on from another, or is cut so that the client sees it.

use super::kit::{Front, Origin, Talk};
use loadbalancer::event::Event;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// What is downloaded: 4 MB in which no part is like another.
fn file() -> Arc<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(4);
    Arc::new((0..500_000).flat_map(|_| random.u64(..).to_le_bytes()).collect())
}

/// Serves the file, or a part of it, with this tag; at most `most` bytes, then it dies. A tag behind `!` is that of one that
/// does not look at If-Range.
fn serve(talk: &mut Talk, file: &[u8], etag: &str, most: usize) -> bool {
    let (blind, etag) = (etag.starts_with('!'), etag.trim_start_matches('!'));
    let wanted = talk.heard.all("range").first().and_then(|range| {
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        let fits = talk.heard.all("if-range").first().is_none_or(|tag| blind || *tag == etag);
        fits.then(|| Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?)))?
    });
    let (first, last) = wanted.unwrap_or((0, file.len() - 1));
    let (length, whole) = (last + 1 - first, file.len());
    let head = match wanted {
        Some(_) => format!("206 Partial Content\r\nContent-Range: bytes {first}-{last}/{whole}"),
        None => "200 OK".to_owned(),
    };
    let tag = if etag.is_empty() { String::new() } else { format!("ETag: {etag}\r\n") };
    talk.say(format!("HTTP/1.1 {head}\r\n{tag}Content-Length: {length}\r\n\r\n"));
    let body = &file[first..=last];
    talk.say(&body[..most.min(body.len())]) && most >= body.len()
}

#[test]
fn the_rest_comes_from_another_server_of_the_same_version() {
    let file = file();
    let parts = [1_000_000, 2_000_000, usize::MAX];
    let served = Arc::new(AtomicUsize::new(0));
    let origins: Vec<_> = (1..=3)
        .map(|id| {
            let (file, served) = (Arc::clone(&file), Arc::clone(&served));
            Origin::start(&id.to_string(), move |talk| {
                serve(talk, &file, "\"v7\"", parts[served.fetch_add(1, Ordering::SeqCst).min(2)])
            })
        })
        .collect();
    let front = Front::new(&[]);
    origins.iter().for_each(|origin| drop(front.join(origin)));
    let said = front.caller().say("GET /f HTTP/1.1\r\nHost: a\r\nAccept: x/y\r\nIf-None-Match: \"v6\"\r\n\r\n").hear();
    assert_eq!(said.code(), 200);
    assert!(said.body == *file, "other bytes came");
    let heard: Vec<_> = origins.iter().flat_map(Origin::heard).collect();
    let rest: Vec<_> = heard.iter().filter(|heard| !heard.all("range").is_empty()).collect();
    assert_eq!(rest.len(), 2);
    for asked in rest {
        assert_eq!((asked.all("if-range"), asked.all("if-none-match")), (vec!["\"v7\""], vec![]));
        assert_eq!(asked.all("accept"), ["x/y"]);
    }
    let resumed = front.events.try_iter().filter(|record| matches!(record.event, Event::FileResumed { .. })).count();
    assert_eq!(resumed, 2);
}

#[test]
fn a_range_that_was_asked_for_goes_on_inside_of_it() {
    let file = file();
    let (first, second) = (Arc::clone(&file), Arc::clone(&file));
    let served = Arc::new(AtomicUsize::new(0));
    let script = move |file: Arc<Vec<u8>>, served: Arc<AtomicUsize>| {
        move |talk: &mut Talk| {
            let most = if served.fetch_add(1, Ordering::SeqCst) == 0 { 500_000 } else { usize::MAX };
            serve(talk, &file, "\"v7\"", most)
        }
    };
    let origins = [
        Origin::start("1", script(first, Arc::clone(&served))),
        Origin::start("2", script(second, Arc::clone(&served))),
    ];
    let front = Front::new(&[]);
    origins.iter().for_each(|origin| drop(front.join(origin)));
    let said = front.caller().say("GET /f HTTP/1.1\r\nHost: a\r\nRange: bytes=1000000-2999999\r\n\r\n").hear();
    assert_eq!((said.code(), said.field("content-range")), (206, Some("bytes 1000000-2999999/4000000")));
    assert!(said.body == file[1_000_000..3_000_000], "other bytes came");
}

#[test]
fn a_mixture_is_never_made_and_a_cut_is_seen() {
    let file = file();
    let (strong, weak) = ("\"v7\"", "W/\"v7\"");
    for (own, other) in [
        (strong, "\"v8\""),
        (strong, "!\"v8\""),
        (strong, weak),
        (strong, "!W/\"v7\""),
        (strong, "!"),
        (weak, weak),
        ("", ""),
    ] {
        let served = Arc::new(AtomicUsize::new(0));
        let origins: Vec<_> = (1..=2)
            .map(|id| {
                let (file, served) = (Arc::clone(&file), Arc::clone(&served));
                Origin::start(&id.to_string(), move |talk| {
                    let first = served.fetch_add(1, Ordering::SeqCst) == 0;
                    if first { serve(talk, &file, own, 1_000_000) } else { serve(talk, &file, other, usize::MAX) }
                })
            })
            .collect();
        let front = Front::new(&[]);
        origins.iter().for_each(|origin| drop(front.join(origin)));
        let mut caller = front.caller();
        let all = caller.say("GET /f HTTP/1.1\r\nHost: a\r\n\r\n").rest();
        let body = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        assert!(all.len() - body <= 1_000_000, "{own} {other}: {} bytes came", all.len() - body);
        assert!(file.starts_with(&all[body..]));
        front.until_event("the failure", |event| matches!(event, Event::RequestFailed { definite: false, .. }));
    }
}

#[test]
fn a_cut_is_seen_without_a_length_too() {
    // A small answer is held, a large one has begun when it breaks; both ways of having no length.
    let heads = ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf4240\r\n", "HTTP/1.1 200 OK\r\n\r\n"];
    for (head, size) in heads.iter().flat_map(|head| [70_000, 500_000].map(|size| (*head, size))) {
        let (told, heard) = crossbeam_channel::bounded::<()>(0);
        let origin = Origin::start("1", move |talk| {
            talk.say(head);
            talk.say(vec![b'x'; size]);
            // What is reset at once may be lost altogether: the large one waits until its beginning has arrived.
            let _small = (size == 500_000).then(|| heard.recv());
            talk.break_off();
            false
        });
        let front = Front::before(&origin, &[]);
        let mut caller = front.caller();
        caller.say("POST /f HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        if size == 500_000 {
            std::io::Read::read_exact(&mut &*caller.stream, &mut [0; 300_000]).unwrap();
            drop(told);
            let rest = caller.rest();
            assert!(!rest.ends_with(b"0\r\n\r\n"), "{head:?}: it looks whole");
        } else {
            drop(told);
            assert_eq!(caller.hear().code(), 502, "{head:?}");
        }
    }
}

#[test]
fn downloads_outlive_servers_that_are_killed_again_and_again() {
    let file = file();
    let origins: Vec<_> = (1..=3)
        .map(|id| {
            let file = Arc::clone(&file);
            Origin::start(&id.to_string(), move |talk| serve(talk, &file, "\"v7\"", usize::MAX))
        })
        .collect();
    let front = Front::new(&[]);
    origins.iter().for_each(|origin| drop(front.join(origin)));
    let (done, left, address) = (AtomicBool::new(false), AtomicUsize::new(160), front.address);
    let kills = AtomicUsize::new(0);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                        let said = super::kit::Caller::connect(address).get("/f");
                        assert!(said.code() == 200 && said.body == *file, "{} {}", said.code(), said.body.len());
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            for origin in origins.iter().cycle() {
                thread::park_timeout(Duration::from_millis(40));
                if done.load(Ordering::SeqCst) {
                    return;
                }
                origin.kill();
                kills.fetch_add(1, Ordering::SeqCst);
                thread::park_timeout(Duration::from_millis(40));
                origin.revive();
            }
        });
        let results: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::SeqCst);
        results.into_iter().for_each(|result| result.unwrap());
    });
    assert!(kills.into_inner() > 3, "too few were killed for this to say anything");
}
