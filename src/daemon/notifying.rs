//! News for people and programs elsewhere: each receiver has a book on disk of what it was told and has to be told, and a
//! task that delivers. Nothing of it keeps a turn waiting.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};

use tokio::{sync::Notify, task::JoinSet};

use super::Loop;
use crate::{
    desire::Desired,
    observe::{Happening, NewsBook, OwedNews, Subject},
    plan,
    plan::news,
    ports::{Clock, DiskError, NewsBooks, Notifier, NotifierError, Remark},
    report::{Event, Listening, MessageTemplate, chain, listen, news as matters, report},
    values::NotifySettings,
};

/// Somebody who hears of some of what happens.
pub struct Receiver {
    /// The name of its table.
    pub name: String,
    /// What it wants to hear.
    pub settings: NotifySettings,
    /// What makes messages for it.
    pub template: MessageTemplate,
    /// How they are delivered.
    pub notifier: Rc<dyn Notifier>,
}

/// All that hear of what happens, as long as it is there.
#[derive(Default)]
pub struct Notifying {
    desks: Vec<Rc<Desk>>,
    /// Whether what was open at the start was compared with what is so.
    is_compared: Cell<bool>,
    _listening: Option<Listening>,
    /// They end with it.
    _delivering: JoinSet<()>,
}

/// A receiver and its book.
struct Desk {
    receiver: Receiver,
    books: Rc<dyn NewsBooks>,
    clock: Rc<dyn Clock>,
    book: RefCell<NewsBook>,
    /// Whether the book differs from what is on disk.
    is_new: Cell<bool>,
    /// Whether it was told that it can't be written.
    is_fault_told: Cell<bool>,
    /// Rung for the task that delivers, and for the one that writes.
    bells: [Notify; 2],
}

impl Notifying {
    /// Enters what happens from now on. Delivers it from now on where `delivers`; that takes a local set of tasks.
    ///
    /// # Errors
    /// When a book can't be read.
    pub fn begin(
        receivers: Vec<Receiver>,
        books: &Rc<dyn NewsBooks>,
        clock: &Rc<dyn Clock>,
        delivers: bool,
    ) -> Result<Self, DiskError> {
        let mut desks = Vec::new();
        for receiver in receivers {
            desks.push(Rc::new(Desk {
                book: RefCell::new(books.news_book(&receiver.name)?),
                receiver,
                books: Rc::clone(books),
                clock: Rc::clone(clock),
                is_new: Cell::default(),
                is_fault_told: Cell::default(),
                bells: Default::default(),
            }));
        }
        if desks.is_empty() {
            return Ok(Self::default());
        }
        let (listeners, time) = (desks.clone(), Rc::clone(clock));
        let own = RefCell::default();
        let listening = listen(move |event| {
            if let Event::Started { own: ours, .. } = event {
                own.replace(ours.clone());
            }
            let own = own.borrow();
            if let Some(happening) = matters::happening(event, own.as_ref(), time.now()) {
                listeners.iter().for_each(|desk| desk.take(&happening));
            }
        });
        let mut delivering = JoinSet::new();
        for desk in desks.iter().filter(|_| delivers) {
            let (one, other) = (Rc::clone(desk), Rc::clone(desk));
            delivering.spawn_local(async move { one.deliver().await });
            delivering.spawn_local(async move { other.write_down().await });
        }
        Ok(Self {
            desks,
            is_compared: Cell::default(),
            _listening: Some(listening),
            _delivering: delivering,
        })
    }

    /// Ends what was open at the start and is not so any more; done once.
    fn compare(&self, ongoing: impl FnOnce() -> BTreeSet<String>) {
        if self.desks.is_empty() || self.is_compared.replace(true) {
            return;
        }
        let ongoing = ongoing();
        for desk in &self.desks {
            let now = desk.clock.now();
            desk.change(|book| news::end_others(book, &ongoing, now));
        }
    }

    /// Writes down what is not on disk yet.
    pub(super) fn keep(&self) {
        self.desks.iter().for_each(|desk| desk.keep());
    }

    /// Delivers what is owed, up to the first failure of each receiver: for a program that ends. What has lasted till now
    /// counts as lasting.
    pub(super) async fn deliver_once(&self) {
        for desk in &self.desks {
            let now = desk.clock.now();
            desk.change(|book| news::ripen(book, std::time::Duration::ZERO, now));
            desk.keep();
            while let Some((owed, dropped)) = desk.first() {
                if let Err(error) = desk.send(&owed, dropped).await {
                    desk.tell_failure(&error);
                    break;
                }
            }
        }
    }
}

impl Desk {
    /// Changes the book, and has what follows from that done soon.
    fn change(&self, change: impl FnOnce(&mut NewsBook) -> bool) {
        if change(&mut self.book.borrow_mut()) {
            self.is_new.set(true);
            self.bells.iter().for_each(Notify::notify_one);
        }
    }

    fn take(&self, happening: &Happening) {
        let settings = &self.receiver.settings;
        match happening {
            Happening::Ends { matter } => {
                let now = self.clock.now();
                self.change(|book| news::end(book, matter, now));
            }
            _ => self.change(|book| news::enter(book, happening, settings)),
        }
    }

    /// Writes each change down. A burst of them is one file.
    async fn write_down(&self) {
        loop {
            self.keep();
            self.bells[1].notified().await;
        }
    }

    fn keep(&self) {
        if !self.is_new.replace(false) {
            return;
        }
        let kept = self
            .books
            .keep_news_book(&self.receiver.name, &self.book.borrow());
        match kept {
            Ok(()) => self.is_fault_told.set(false),
            Err(error) => {
                // With the next change it is tried again.
                self.is_new.set(true);
                if !self.is_fault_told.replace(true) {
                    report(&Event::Met(Remark::NewsNotKept {
                        receiver: self.receiver.name.clone(),
                        problem: chain(&error),
                    }));
                }
            }
        }
    }

    /// What is to be delivered next, and how many were left out before it.
    fn first(&self) -> Option<(OwedNews, u64)> {
        let book = self.book.borrow();
        Some((book.owed.front()?.clone(), book.dropped))
    }

    /// Delivers what comes, one after the other.
    async fn deliver(&self) {
        let (after, mut failures) = (self.receiver.settings.after, 0);
        loop {
            let now = self.clock.now();
            self.change(|book| news::ripen(book, after, now));
            let Some((owed, dropped)) = self.first() else {
                self.rest().await;
                continue;
            };
            // With the same id, if we end before it is known to be delivered.
            self.keep();
            match self.send(&owed, dropped).await {
                Ok(()) if failures > 0 => {
                    failures = 0;
                    report(&Event::Met(Remark::DeliveredAgain {
                        receiver: self.receiver.name.clone(),
                    }));
                }
                Ok(()) => {}
                Err(error) => {
                    failures += 1;
                    if failures == 1 {
                        self.tell_failure(&error);
                    }
                    self.clock
                        .sleep(news::pause_after(failures, error.wait()))
                        .await;
                }
            }
        }
    }

    /// Waits until there may be something to deliver.
    async fn rest(&self) {
        let (after, now) = (self.receiver.settings.after, self.clock.now());
        let ripe = news::next_ripe(&self.book.borrow(), after, now);
        let bell = self.bells[0].notified();
        match ripe {
            None => bell.await,
            Some(length) => tokio::select! {
                () = bell => {}
                () = self.clock.sleep(length) => {}
            },
        }
    }

    /// Delivers one message, and takes it off the book. Whoever ends in between delivers it again at the next start.
    async fn send(&self, owed: &OwedNews, dropped: u64) -> Result<(), NotifierError> {
        let message = self.receiver.template.message(owed, dropped);
        let message = message.map_err(NotifierError::Message)?;
        self.receiver.notifier.send(&message).await?;
        self.change(|book| {
            news::delivered(book, &owed.id, dropped);
            true
        });
        self.keep();
        Ok(())
    }

    fn tell_failure(&self, error: &NotifierError) {
        report(&Event::Met(Remark::NotDelivered {
            receiver: self.receiver.name.clone(),
            problem: chain(error),
            owed: self.book.borrow().owed.len(),
        }));
    }
}

impl Loop {
    /// Tells which failures are over, and compares what was open before a start with what is so.
    pub(super) fn tell_failures(&mut self, desired: &Desired) {
        let attempts = self.facts.observed.attempts.iter();
        let failing =
            attempts.filter(|(subject, attempt)| plan::is_failure(subject, attempt, desired));
        let failures: BTreeSet<Subject> = failing.map(|(subject, _)| subject.clone()).collect();
        for subject in self.told.failures.difference(&failures).cloned() {
            report(&Event::FailureOver { subject });
        }
        self.told.failures = failures;
        self.daemon.notifying.compare(|| self.ongoing(desired));
    }

    /// What is so now and would be told when it ends.
    fn ongoing(&self, desired: &Desired) -> BTreeSet<String> {
        let told = &self.told;
        let mut ongoing = BTreeSet::new();
        ongoing.extend(told.complaints.iter().map(matters::of_complaint));
        ongoing.extend(told.notices.iter().map(matters::of_notice));
        ongoing.extend(told.failures.iter().map(matters::of_failure));
        ongoing.extend(told.faults.iter().map(|fault| matters::of_fault(fault)));
        for fault in self.templates.faults() {
            ongoing.insert(matters::of_template(fault));
        }
        for consumer in desired.consumers.values() {
            if !consumer.running {
                ongoing.insert(matters::of_stopped(&consumer.name));
            }
        }
        ongoing.extend(told.waiting.iter().map(matters::of_waiting));
        ongoing
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, time::Duration};

    use async_trait::async_trait;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        task::{LocalSet, yield_now},
    };

    use super::*;
    use crate::{
        adapters::{
            disk::Folders,
            http::Limits,
            https_proxy::HttpsProxy,
            notifier::{HttpNotifier, HttpReceiver},
        },
        desire::Origin,
        values::{ContainerName, NOTIFY_FORMATS, Secret, Timestamp},
    };

    /// A clock that moves when somebody waits, and remembers for how long.
    #[derive(Default)]
    struct Leaping(RefCell<Vec<Duration>>);

    #[async_trait(?Send)]
    impl Clock for Leaping {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(1_800_000_000) + self.elapsed()
        }
        fn elapsed(&self) -> Duration {
            self.0.borrow().iter().sum()
        }
        async fn sleep(&self, length: Duration) {
            yield_now().await;
            self.0.borrow_mut().push(length);
        }
    }

    /// What a receiver does with the next request; what is past the last one is taken.
    type Script = Rc<RefCell<VecDeque<&'static str>>>;

    const TAKEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    const BROKEN: &str = "HTTP/1.1 500 X\r\ncontent-length: 7\r\n\r\nprivate";
    const ELSEWHERE: &str = "HTTP/1.1 302 X\r\nlocation: /private\r\ncontent-length: 0\r\n\r\n";
    const BUSY: &str = "HTTP/1.1 429 X\r\nretry-after: 77\r\ncontent-length: 0\r\n\r\n";
    const HANGS: &str = "";
    /// It says nothing, and the time for an answer passes.
    const SILENT: &str = "silent";

    /// Takes requests; returns its URL and what it was sent.
    async fn receive(script: Script) -> (String, Rc<RefCell<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/s3cret", listener.local_addr().unwrap());
        let taken = Rc::<RefCell<Vec<String>>>::default();
        let seen = Rc::clone(&taken);
        tokio::task::spawn_local(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut read = String::new();
                while !read.contains("\r\n\r\n") || !read.ends_with('}') {
                    let mut bytes = [0; 4096];
                    let count = stream.read(&mut bytes).await.unwrap();
                    assert!(count > 0, "it ends early: {read}");
                    read.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
                }
                seen.borrow_mut().push(read);
                let reply = script.borrow_mut().pop_front().unwrap_or(TAKEN);
                if reply == SILENT {
                    tokio::time::pause();
                    tokio::time::advance(WHOLE).await;
                    tokio::time::resume();
                }
                if matches!(reply, HANGS | SILENT) {
                    std::mem::forget(stream);
                    continue;
                }
                stream.write_all(reply.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        (url, taken)
    }

    /// The time for an answer, which no machine is too slow for.
    const WHOLE: Duration = Duration::from_secs(3600);

    fn receiver(url: &str) -> Receiver {
        let settings = NotifySettings {
            after: Duration::ZERO,
            ..NotifySettings::default()
        };
        let limits = Limits {
            whole: WHOLE,
            ..Limits::default()
        };
        let of_http = HttpReceiver {
            settings: &settings,
            url: Secret::new(url),
            headers: None,
            token: None,
            root: None,
        };
        Receiver {
            name: "chat".to_owned(),
            template: MessageTemplate::new("x", NOTIFY_FORMATS[0].template.to_owned(), None)
                .unwrap(),
            notifier: Rc::new(
                HttpNotifier::within(limits, of_http, &HttpsProxy::default()).unwrap(),
            ),
            settings,
        }
    }

    fn complained(problem: &str) -> Event {
        let bearer = ContainerName::parse("odd").unwrap();
        let complaint = Origin::new(&bearer, "quaymaster.port", "x").complains(problem, "write 80");
        Event::Complained { complaint }
    }

    fn over(problem: &str) -> Event {
        match complained(problem) {
            Event::Complained { complaint } => Event::ComplaintOver { complaint },
            other => other,
        }
    }

    fn texts(taken: &[String]) -> Vec<String> {
        let body = |request: &String| {
            let (_, body) = request.split_once("\r\n\r\n").unwrap();
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            body["text"].as_str().unwrap().to_owned()
        };
        taken.iter().map(body).collect()
    }

    fn folders() -> (tempfile::TempDir, Rc<dyn NewsBooks>) {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::new(folder.path().join("c"), folder.path().into(), |_| ());
        (folder, Rc::new(folders))
    }

    /// Lets tasks work until it is so.
    async fn until(mut is_so: impl FnMut() -> bool) {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn a_receiver_that_fails_in_every_way_is_told_all_in_order_once_it_is_back() {
        let script: Script = Rc::new(RefCell::new([BROKEN, SILENT, ELSEWHERE, BUSY].into()));
        LocalSet::new()
            .run_until(async {
                let (url, taken) = receive(script).await;
                let (_folder, books) = folders();
                let leaping = Rc::<Leaping>::default();
                let clock: Rc<dyn Clock> = leaping.clone();
                let told = Rc::<RefCell<Vec<(String, String)>>>::default();
                let telling = Rc::clone(&told);
                let _listening = listen(move |event| {
                    telling
                        .borrow_mut()
                        .push((event.name().to_owned(), event.to_string()));
                });
                let receivers = vec![receiver(&url)];
                let notifying = Notifying::begin(receivers, &books, &clock, true).unwrap();
                report(&complained("first"));
                report(&complained("first"));
                report(&complained("second"));
                until(|| !taken.borrow().is_empty()).await;
                report(&over("first"));
                until(|| {
                    books.news_book("chat").unwrap().owed.is_empty() && taken.borrow().len() >= 7
                })
                .await;
                let taken = texts(&taken.borrow());
                let all = [
                    "first", "first", "first", "first", "first", "second", "resolved",
                ];
                assert_eq!(taken.len(), all.len(), "{taken:#?}");
                assert!(
                    taken
                        .iter()
                        .zip(all)
                        .all(|(text, part)| text.contains(part)),
                    "{taken:#?}"
                );
                let told: Vec<_> = told.borrow().clone();
                let of = |name: &str| {
                    let of_name = told.iter().filter(|(event, _)| event == name);
                    of_name.map(|(_, text)| text.clone()).collect::<Vec<_>>()
                };
                let (failed, again) = (of("not-delivered"), of("delivered-again"));
                assert_eq!((failed.len(), again.len()), (1, 1), "{told:?}");
                assert!(
                    failed[0].contains("[notify.chat]") && failed[0].contains("status 500"),
                    "{failed:?}"
                );
                let all = format!("{told:?}");
                assert!(!all.contains("s3cret") && !all.contains("private"), "{all}");
                let pauses: Vec<_> = leaping
                    .0
                    .borrow()
                    .iter()
                    .map(Duration::as_secs)
                    .filter(|n| *n > 0)
                    .collect();
                assert_eq!(pauses, [10, 20, 40, 80]);
                drop(notifying);
            })
            .await;
    }

    #[tokio::test]
    async fn what_is_owed_and_what_is_open_outlive_the_program() {
        let script: Script = Rc::new(RefCell::new([HANGS, HANGS].into()));
        LocalSet::new()
            .run_until(async {
                let (url, taken) = receive(script).await;
                let (_folder, books) = folders();
                let clock: Rc<dyn Clock> = Rc::<Leaping>::default();
                let begin = |delivers| {
                    let receivers = vec![receiver(&url)];
                    Notifying::begin(receivers, &books, &clock, delivers).unwrap()
                };
                let killed = begin(true);
                report(&complained("first"));
                until(|| taken.borrow().len() == 1).await;
                // Between "owed" and "delivered".
                drop(killed);
                let owed = books.news_book("chat").unwrap().owed;
                assert_eq!(owed.len(), 1);
                let next = begin(true);
                // Told at each start, and so no news.
                report(&complained("first"));
                until(|| taken.borrow().len() == 2).await;
                drop(next);
                assert_eq!(books.news_book("chat").unwrap().owed, owed);
                assert!(taken.borrow()[1].contains(&owed[0].id), "the same id");

                // It ended while nobody looked, and the program that sees that ends when it has told.
                let last = begin(false);
                last.compare(BTreeSet::new);
                last.deliver_once().await;
                let taken = texts(&taken.borrow());
                assert_eq!(taken.len(), 4);
                assert!(
                    taken[2].contains("first") && taken[3].starts_with("resolved: "),
                    "{taken:?}"
                );
                let book = books.news_book("chat").unwrap();
                assert!(book.owed.is_empty() && book.open.is_empty(), "{book:?}");
            })
            .await;
    }
}
