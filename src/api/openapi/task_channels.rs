//! Task channels.

use serde_json::Value;

use super::WORKSPACE_PATH;
use super::operation::{Operation, Resource};
use super::schema::{address, boolean, channel, date, flag, links, name, object, own_sid, text, unique_name};

const TASK_CHANNEL: Resource = Resource { name: "TaskChannel", sid: channel, versioned: false };

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let task_channel = object([
        ("account_sid", own_sid("AC")),
        ("sid", own_sid("TC")),
        ("workspace_sid", own_sid("WS")),
        ("friendly_name", text()),
        ("unique_name", text()),
        ("channel_optimized_routing", boolean()),
        ("date_created", date()),
        ("date_updated", date()),
        ("url", address()),
        ("links", links(&["workspace"], &[])),
    ]);
    vec![("TaskChannel", task_channel)]
}

pub(super) fn operations() -> Vec<Operation> {
    let all = &format!("{WORKSPACE_PATH}/TaskChannels");
    let one = &format!("{all}/{{Sid}}");
    vec![
        TASK_CHANNEL.list("ListTaskChannel", all, "channels", "Task channels of the workspace").paged(1),
        TASK_CHANNEL
            .create("CreateTaskChannel", all, "Makes a task channel")
            .required("FriendlyName", name())
            .required("UniqueName", unique_name())
            .field("ChannelOptimizedRouting", flag()),
        TASK_CHANNEL.fetch("FetchTaskChannel", one, "One task channel, by SID or unique name"),
        TASK_CHANNEL
            .update("UpdateTaskChannel", one, "Changes a task channel")
            .field("FriendlyName", name())
            .field("ChannelOptimizedRouting", flag()),
        TASK_CHANNEL.delete("DeleteTaskChannel", one, "Deletes a task channel that is not built in and not in use"),
    ]
}
