use super::{Call, Exit, Failure, block_on, notifying, print, setup};
use crate::report::sample_news;

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let words = |name| call.options.get_one::<String>(name).map(String::as_str);
    let name = words("test").unwrap_or_default();
    let settings = call.settings.notify.named(name).map_err(Failure::Usage)?;
    block_on(async {
        let folders = setup::folders(call, None);
        let receiver = notifying::receiver(call, &folders, name, settings)?;
        let message = receiver
            .template
            .message(&sample_news(setup::now(), false), 0);
        let message = message.map_err(Failure::Usage)?;
        receiver
            .notifier
            .send(&message)
            .await
            .map_err(|error| Failure::NotDelivered {
                receiver: name.to_owned(),
                source: error,
            })?;
        print(&format!(
            "[notify.{name}] has taken a message with the title {:?}\n",
            message.title
        ))?;
        Ok(Exit::Done)
    })
}
