//! One operation of the description, built up by the file of its resource.
//!
//! A [`Resource`] knows what its operations have in common, so that most of them are one line. What a path holds is
//! known from the names in it. Start with [`Resource`].

use serde_json::{Map, Value, json};

use super::schema;

/// Media type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

/// What the operations of one kind of resource have in common.
#[derive(Clone, Copy)]
pub(super) struct Resource {
    /// Name of its schema, and of its group of operations.
    pub(super) name: &'static str,
    /// What `{Sid}` is in its paths.
    pub(super) sid: fn() -> Value,
    /// Answers carry an `ETag`, updates and deletions may carry `If-Match`.
    pub(super) versioned: bool,
}

/// An answer that is a success.
pub(super) struct Success {
    pub(super) status: u16,
    pub(super) description: &'static str,
    /// Media type and schema; none without a body.
    pub(super) content: Option<(&'static str, Value)>,
    pub(super) versioned: bool,
}

/// One operation.
pub(super) struct Operation {
    pub(super) method: &'static str,
    /// From the root, with the contract's names of parameters.
    pub(super) path: String,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) tag: &'static str,
    /// What `{Sid}` is.
    sid: Option<Value>,
    parameters: Vec<Value>,
    form: Vec<(&'static str, Value, bool)>,
    json: Option<Value>,
    pub(super) successes: Vec<Success>,
    /// Statuses of errors.
    errors: Vec<u16>,
    /// Errors are TaskRouter's JSON.
    json_errors: bool,
    /// Whom it serves, unless it is every account.
    security: Option<Value>,
    /// Name of the resource that the answer shows, itself or in a list.
    pub(super) shows: Option<&'static str>,
    /// Key of a list of them.
    pub(super) list_key: Option<&'static str>,
}

impl Resource {
    fn operation(self, method: &'static str, id: &'static str, path: &str, summary: &'static str) -> Operation {
        let mut operation = Operation::new(method, id, path, self.name, summary);
        operation.sid = Some((self.sid)());
        operation.errors = vec![400, 401, 404, 429, 503];
        operation.json_errors = true;
        operation.shows = Some(self.name);
        operation
    }

    fn shown(self, status: u16, description: &'static str) -> Success {
        let content = Some(("application/json", schema::component(self.name)));
        Success { status, description, content, versioned: self.versioned }
    }

    /// A page of the resources below `path`, under `key`.
    pub(super) fn list(self, id: &'static str, path: &str, key: &'static str, summary: &'static str) -> Operation {
        let mut operation = self.operation("GET", id, path, summary);
        let page = schema::object([
            ("meta", schema::component("PageMeta")),
            (key, schema::array(schema::component(self.name))),
        ]);
        let content = Some(("application/json", page));
        operation.successes.push(Success { status: 200, description: "one page", content, versioned: false });
        operation.list_key = Some(key);
        operation
    }

    /// Something else that is posted; its answers are to be added.
    pub(super) fn post(self, id: &'static str, path: &str, summary: &'static str) -> Operation {
        self.operation("POST", id, path, summary).error(413)
    }

    /// One more.
    pub(super) fn create(self, id: &'static str, path: &str, summary: &'static str) -> Operation {
        let mut operation = self.post(id, path, summary);
        operation.successes.push(self.shown(201, "made"));
        operation
    }

    /// One of them.
    pub(super) fn fetch(self, id: &'static str, path: &str, summary: &'static str) -> Operation {
        let mut operation = self.operation("GET", id, path, summary);
        // There is nothing in such a request that could be wrong.
        operation.errors.retain(|status| *status != 400);
        operation.successes.push(self.shown(200, "as it is now"));
        operation
    }

    /// The same with changes.
    pub(super) fn update(self, id: &'static str, path: &str, summary: &'static str) -> Operation {
        let mut operation = self.post(id, path, summary);
        operation.successes.push(self.shown(200, "as it is now"));
        if self.versioned { operation.if_match() } else { operation }
    }

    /// The end of it.
    pub(super) fn delete(self, id: &'static str, path: &str, summary: &'static str) -> Operation {
        let mut operation = self.operation("DELETE", id, path, summary);
        operation.successes.push(Success { status: 204, description: "deleted", content: None, versioned: false });
        operation.shows = None;
        if self.versioned { operation.if_match() } else { operation }
    }
}

impl Operation {
    /// An operation of which nothing else is known yet.
    pub(super) fn new(
        method: &'static str,
        id: &'static str,
        path: &str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path: path.to_owned(),
            id,
            summary,
            tag,
            sid: None,
            parameters: Vec::new(),
            form: Vec::new(),
            json: None,
            successes: Vec::new(),
            errors: Vec::new(),
            json_errors: false,
            security: None,
            shows: None,
            list_key: None,
        }
    }

    /// Anybody may ask.
    pub(super) fn open(mut self) -> Self {
        self.security = Some(json!([]));
        self
    }

    /// Errors are TaskRouter's JSON.
    pub(super) fn with_json_errors(mut self) -> Self {
        self.json_errors = true;
        self
    }

    /// Belongs to another group than its resource's.
    pub(super) fn tagged(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// The sender proves itself by a signature, or by credentials.
    pub(super) fn signed(mut self) -> Self {
        self.security = Some(json!([{ "signature": [] }, { "account": [] }]));
        self
    }

    /// What `{Sid}` in the path is.
    pub(super) fn with_sid(mut self, schema: Value) -> Self {
        self.sid = Some(schema);
        self
    }

    /// Its success has another body than its resource's.
    pub(super) fn shown_as(mut self, schema: Value) -> Self {
        if let Some(content) = self.successes.first_mut().and_then(|success| success.content.as_mut()) {
            content.1 = schema;
        }
        self
    }

    /// A parameter of the query; empty means absent.
    pub(super) fn query(mut self, name: &str, schema: Value) -> Self {
        let mut parameter = json!({ "name": name, "in": "query", "allowEmptyValue": true });
        parameter["schema"] = schema;
        self.parameters.push(parameter);
        self.error(400)
    }

    /// The three parameters of pages of a list that is ordered by `keys` values before the SID.
    pub(super) fn paged(self, keys: usize) -> Self {
        let token = format!("^P[AB][A-Z]{{2}}[0-9a-f]{{32}}(\\.-?[0-9]{{1,18}}){{{keys}}}$");
        self.query("PageSize", json!({ "type": "integer", "minimum": 1 }))
            .query("Page", json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }))
            .query("PageToken", schema::pattern(&token))
    }

    /// `If-Match` with the version that the caller knows.
    fn if_match(mut self) -> Self {
        // Any other text is a version that nothing has.
        self.parameters.push(json!({ "name": "If-Match", "in": "header", "schema": { "type": "string" } }));
        self.error(412)
    }

    /// A field of the form that may be left out.
    pub(super) fn field(mut self, name: &'static str, schema: Value) -> Self {
        self.form.push((name, schema::or_nothing(schema), false));
        self
    }

    /// A field of the form that must be there.
    pub(super) fn required(mut self, name: &'static str, schema: Value) -> Self {
        self.form.push((name, schema, true));
        self
    }

    /// A body of JSON instead of a form.
    pub(super) fn json(mut self, schema: Value) -> Self {
        self.json = Some(schema);
        self
    }

    /// One more status of an error.
    pub(super) fn error(mut self, status: u16) -> Self {
        if !self.errors.contains(&status) {
            self.errors.push(status);
        }
        self
    }

    /// One more answer that is a success.
    pub(super) fn answers(
        mut self,
        status: u16,
        description: &'static str,
        content: Option<(&'static str, Value)>,
    ) -> Self {
        self.successes.push(Success { status, description, content, versioned: false });
        self
    }

    /// Whether it makes what it shows.
    pub(super) fn makes(&self) -> bool {
        self.successes.iter().any(|success| success.status == 201)
    }

    /// Names in the path, in order.
    pub(super) fn path_names(&self) -> impl Iterator<Item = &str> {
        self.path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
    }

    /// The operation in the document; `links` are those of its successes.
    pub(super) fn render(&self, links: &Map<String, Value>) -> Value {
        let mut parameters: Vec<Value> = self
            .path_names()
            .map(|name| {
                let schema = self.path_schema(name);
                json!({ "name": name, "in": "path", "required": true, "schema": schema })
            })
            .collect();
        parameters.extend(self.parameters.iter().cloned());
        let mut responses = Map::new();
        for success in &self.successes {
            responses.insert(success.status.to_string(), success.render(links));
        }
        for status in &self.errors {
            responses.insert(status.to_string(), self.render_error(*status));
        }
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.summary,
            "tags": [self.tag],
            "parameters": parameters,
            "responses": responses,
        });
        if let Some(security) = &self.security {
            operation["security"] = security.clone();
        }
        if let Some(body) = self.render_body() {
            operation["requestBody"] = body;
        }
        operation
    }

    fn path_schema(&self, name: &str) -> Value {
        match name {
            "Sid" => self.sid.clone().unwrap_or_else(schema::text),
            "WorkspaceSid" => schema::sid("WS"),
            "WorkflowSid" => schema::sid("WW"),
            "TaskQueueSid" => schema::sid("WQ"),
            "TaskSid" => schema::sid("WT"),
            "WorkerSid" => schema::sid("WK"),
            "ReservationSid" => schema::sid("WR"),
            "AccountSid" => schema::sid("AC"),
            "Channel" => schema::pattern("^W[KQS][0-9a-fA-F]{32}$"),
            _ => schema::text(),
        }
    }

    fn render_body(&self) -> Option<Value> {
        if let Some(schema) = &self.json {
            return Some(json!({ "required": true, "content": { "application/json": { "schema": schema } } }));
        }
        if self.form.is_empty() {
            return None;
        }
        let properties: Map<_, _> =
            self.form.iter().map(|(name, schema, _)| ((*name).to_owned(), schema.clone())).collect();
        let required: Vec<_> = self.form.iter().filter(|(_, _, required)| *required).map(|(name, _, _)| name).collect();
        let mut schema = json!({ "type": "object", "properties": properties });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        Some(json!({ "required": !required.is_empty(), "content": { FORM: { "schema": schema } } }))
    }

    fn render_error(&self, status: u16) -> Value {
        let description = match status {
            400 => "a parameter is missing or wrong, or the state does not allow it",
            401 => "the credentials are missing or wrong",
            403 => "refused",
            404 => "there is no such resource",
            410 => "the reservation was rescinded",
            412 => "`If-Match` names another version",
            413 => "the body is too large",
            429 => "too much at once; try again later",
            _ => "the server cannot do it now; try again later",
        };
        if !self.json_errors {
            return json!({ "description": description });
        }
        json!({
            "description": description,
            "content": { "application/json": { "schema": schema::component("Error") } },
        })
    }
}

impl Success {
    fn render(&self, links: &Map<String, Value>) -> Value {
        let mut response = json!({ "description": self.description });
        if let Some((media_type, schema)) = &self.content {
            response["content"] = json!({ *media_type: { "schema": schema } });
        }
        if self.versioned {
            let version = json!({ "type": "string", "pattern": "^\"[0-9]+\"$" });
            response["headers"] = json!({
                "ETag": { "description": "the version, for `If-Match`", "required": true, "schema": version },
            });
        }
        if !links.is_empty() {
            response["links"] = Value::Object(links.clone());
        }
        response
    }
}
