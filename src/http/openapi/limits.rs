//! Limits of this gateway in its description: what is set, not what is usual.
use crate::data::DataConfig;
use std::time::Duration;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{RefOr, Schema};

/// What holds for each number that a request may name, by its name.
#[derive(Debug)]
pub(crate) struct DescribedLimits([Limit; 5]);

#[derive(Debug)]
struct Limit {
    name: &'static str,
    /// What holds without it; a `default` of the schema would make generators send it always.
    otherwise: String,
    most: u64,
}

impl DescribedLimits {
    pub(crate) fn of(config: &DataConfig) -> Self {
        let time = |name, default, most| Limit {
            name,
            otherwise: format!("Default: {}.", milliseconds(default)),
            most: milliseconds(most),
        };
        let rows = config.default_max_rows;
        Self([
            time("timeout_ms", config.default_timeout, config.largest_timeout),
            time(
                "idle_timeout_ms",
                config.transaction_idle,
                config.transaction_idle,
            ),
            time(
                "total_timeout_ms",
                config.transaction_total,
                config.transaction_total,
            ),
            Limit {
                name: "max_rows",
                otherwise: format!("Without it, results of more than {rows} rows are rejected."),
                most: config.largest_max_rows,
            },
            Limit {
                name: "max_bytes",
                otherwise: format!("Default: {}.", config.default_max_bytes),
                most: config.largest_max_bytes as u64,
            },
        ])
    }

    /// Says the limits of an object's fields.
    pub(super) fn describe_fields(&self, schema: &mut RefOr<Schema>) {
        let RefOr::T(Schema::Object(object)) = schema else {
            return;
        };
        // Fields of answers are not limited.
        let is_request = object.additional_properties.is_some();
        for (name, field) in object.properties.iter_mut().filter(|_| is_request) {
            if let (Some(limit), RefOr::T(Schema::Object(field))) = (self.find(name), field) {
                field.maximum = Some(limit.most.into());
                limit.describe(&mut field.description);
            }
        }
    }

    /// Says the limits of an operation's parameters.
    pub(super) fn describe_parameters(&self, operation: &mut Operation) {
        for parameter in operation.parameters.iter_mut().flatten() {
            if let RefOr::T(parameter) = parameter
                && let Some(limit) = self.find(&parameter.name)
                && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
            {
                schema.maximum = Some(limit.most.into());
                limit.describe(&mut parameter.description);
            }
        }
    }

    fn find(&self, name: &str) -> Option<&Limit> {
        self.0.iter().find(|limit| limit.name == name)
    }
}

impl Limit {
    fn describe(&self, text: &mut Option<String>) {
        let text = text.get_or_insert_default();
        text.push(' ');
        text.push_str(&self.otherwise);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
