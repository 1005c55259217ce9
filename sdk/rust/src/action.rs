//! Actions: remedies, under approval.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    Attribute, Blob, Effect, Entity, Fault, Health, Operation, OperationRequest, Risk, bindings,
    config,
};

/// The media type of tokens and undo records: they are JSON, so that the
/// person who approves can read them.
const MEDIA_TYPE: &str = "application/json";

/// Plans, executes, verifies and rolls back operations.
///
/// Each phase runs in a fresh instance; what one must tell the next goes
/// through [`Action::Token`] and [`Action::Undo`]. Approval is bound to the
/// token, so it should hold all that `execute` will do, and `execute` should
/// decide nothing anew. See [`export_action!`](crate::export_action).
pub trait Action {
    /// Parsed from the instance's configuration.
    type Config: DeserializeOwned;

    /// From `plan` to `execute` and `verify`.
    type Token: Serialize + DeserializeOwned;

    /// From `execute` to `rollback`.
    type Undo: Serialize + DeserializeOwned;

    /// What this action can do.
    fn operations() -> Vec<Operation>;

    /// What would be done. Reads only: the host refuses requests that could
    /// change anything.
    ///
    /// # Errors
    /// If it cannot or should not be done.
    fn plan(
        config: &Self::Config,
        request: &OperationRequest,
    ) -> Result<Planned<Self::Token>, Fault>;

    /// Does it. Only the effects that the plan declared get out. The key is
    /// the same if the host must ask again: pass it on as an idempotency key.
    ///
    /// # Errors
    /// If it was not done.
    fn execute(
        config: &Self::Config,
        token: &Self::Token,
        key: &str,
    ) -> Result<Outcome<Self::Undo>, Fault>;

    /// Whether it helped. Reads only.
    ///
    /// # Errors
    /// If that cannot be told.
    fn verify(config: &Self::Config, token: &Self::Token) -> Result<Health, Fault>;

    /// Undoes it.
    ///
    /// # Errors
    /// If it was not undone.
    fn rollback(
        config: &Self::Config,
        undo: &Self::Undo,
        key: &str,
    ) -> Result<Outcome<Self::Undo>, Fault>;
}

impl Operation {
    /// An operation that can be rolled back and has no parameters.
    pub fn new(name: impl Into<String>, title: impl Into<String>, risk: Risk) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            parameters: r#"{"type":"object","additionalProperties":false}"#.to_owned(),
            risk,
            reversible: true,
        }
    }

    /// With parameters of this JSON Schema (2020-12).
    #[must_use]
    pub fn with_parameters(mut self, schema: impl Into<String>) -> Self {
        self.parameters = schema.into();
        self
    }

    /// There is no rollback.
    #[must_use]
    pub fn irreversible(mut self) -> Self {
        self.reversible = false;
        self
    }
}

impl OperationRequest {
    /// The parameters, parsed.
    ///
    /// # Errors
    /// `malformed`, naming the field, if they do not have the shape that the
    /// type asks for.
    pub fn parameters<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        crate::json::parse(self.parameters.as_bytes())
            .map_err(|error| Fault::malformed(format!("the parameters: {error}")))
    }
}

impl Effect {
    /// A sentence for the person who approves, and the entity that is
    /// affected; `method` is `POST`, … with a URL as address, or `exec` with
    /// the name of a command.
    pub fn new(
        what: impl Into<String>,
        target: Entity,
        method: impl Into<String>,
        address: impl Into<String>,
    ) -> Self {
        Self {
            what: what.into(),
            target,
            method: method.into(),
            address: address.into(),
        }
    }
}

/// What `execute` would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned<T> {
    /// A line for the person who approves.
    pub summary: String,
    /// Complete: what is not declared here does not get out of `execute`.
    pub effects: Vec<Effect>,
    /// How it would be undone, for people; none if it cannot be.
    pub undo: Option<String>,
    /// For `execute` and `verify`.
    pub token: T,
}

impl<T> Planned<T> {
    /// A plan without effects yet.
    pub fn new(summary: impl Into<String>, token: T) -> Self {
        Self {
            summary: summary.into(),
            effects: Vec::new(),
            undo: None,
            token,
        }
    }

    /// Declares an effect.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    /// Says how it would be undone.
    #[must_use]
    pub fn with_undo(mut self, undo: impl Into<String>) -> Self {
        self.undo = Some(undo.into());
        self
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<U> {
    /// A line for people.
    pub summary: String,
    /// For `rollback`.
    pub undo: Option<U>,
    /// Whatever else there is to say.
    pub attributes: Vec<Attribute>,
}

impl<U> Outcome<U> {
    /// Done, and not to be undone.
    pub fn new(summary: impl Into<String>) -> Self {
        Self {
            summary: summary.into(),
            undo: None,
            attributes: Vec::new(),
        }
    }

    /// Can be undone with this.
    #[must_use]
    pub fn with_undo(mut self, undo: U) -> Self {
        self.undo = Some(undo);
        self
    }

    /// Says more.
    #[must_use]
    pub fn with_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push(Attribute::new(key, value));
        self
    }
}

/// As it crosses the boundary, with the token written.
#[doc(hidden)]
pub type RawPlanned = bindings::act::exports::faultline::plugin::act::Planned;

/// As it crosses the boundary, with the undo record written.
#[doc(hidden)]
pub type RawOutcome = bindings::act::exports::faultline::plugin::act::Outcome;

/// What the export `plan` does.
#[doc(hidden)]
pub fn plan<A: Action>(request: &OperationRequest) -> Result<RawPlanned, Fault> {
    let planned = A::plan(&config::read()?, request)?;
    Ok(RawPlanned {
        summary: planned.summary,
        effects: planned.effects,
        undo: planned.undo,
        token: write("token", &planned.token)?,
    })
}

/// What the export `execute` does.
#[doc(hidden)]
pub fn execute<A: Action>(token: &Blob, key: &str) -> Result<RawOutcome, Fault> {
    A::execute(&config::read()?, &read("token", token)?, key).and_then(raw_outcome)
}

/// What the export `verify` does.
#[doc(hidden)]
pub fn verify<A: Action>(token: &Blob) -> Result<Health, Fault> {
    A::verify(&config::read()?, &read("token", token)?)
}

/// What the export `rollback` does.
#[doc(hidden)]
pub fn rollback<A: Action>(undo: &Blob, key: &str) -> Result<RawOutcome, Fault> {
    A::rollback(&config::read()?, &read("undo record", undo)?, key).and_then(raw_outcome)
}

fn raw_outcome<U: Serialize>(outcome: Outcome<U>) -> Result<RawOutcome, Fault> {
    Ok(RawOutcome {
        summary: outcome.summary,
        undo: outcome
            .undo
            .map(|undo| write("undo record", &undo))
            .transpose()?,
        attributes: outcome.attributes,
    })
}

fn write(what: &str, value: &impl Serialize) -> Result<Blob, Fault> {
    Ok(Blob {
        media_type: MEDIA_TYPE.to_owned(),
        bytes: serde_json::to_vec(value)
            .map_err(|error| Fault::state(format!("the {what} cannot be written: {error}")))?,
    })
}

fn read<T: DeserializeOwned>(what: &str, blob: &Blob) -> Result<T, Fault> {
    if blob.media_type != MEDIA_TYPE {
        return Err(Fault::state(format!(
            "the {what} has the media type `{}`; this action reads `{MEDIA_TYPE}`",
            blob.media_type
        )));
    }
    crate::json::parse(&blob.bytes).map_err(|error| {
        Fault::state(format!(
            "the {what} cannot be read ({error}): it was made by another version of this action, \
             so plan again"
        ))
    })
}

/// Makes a component of a type that implements [`Action`](trait@crate::Action).
///
/// Once a crate, at its top level, with the bare name of the type. Does
/// nothing in a native build.
#[macro_export]
macro_rules! export_action {
    ($action:ident) => {
        const _: () = {
            fn action<A: $crate::Action>() {}
            let _ = action::<$action>;

            #[cfg(target_family = "wasm")]
            mod component {
                use ::std::result::Result;
                use ::std::string::String;
                use ::std::vec::Vec;
                use $crate::__guest::{RawOutcome, RawPlanned};
                use $crate::{Blob, Fault, Health, Operation, OperationRequest};

                struct Component;
                impl $crate::bindings::act::exports::faultline::plugin::act::Guest for Component {
                    fn operations() -> Vec<Operation> {
                        <super::$action as $crate::Action>::operations()
                    }
                    fn plan(request: OperationRequest) -> Result<RawPlanned, Fault> {
                        $crate::__guest::plan::<super::$action>(&request)
                    }
                    fn execute(token: Blob, key: String) -> Result<RawOutcome, Fault> {
                        $crate::__guest::execute::<super::$action>(&token, &key)
                    }
                    fn verify(token: Blob) -> Result<Health, Fault> {
                        $crate::__guest::verify::<super::$action>(&token)
                    }
                    fn rollback(undo: Blob, key: String) -> Result<RawOutcome, Fault> {
                        $crate::__guest::rollback::<super::$action>(&undo, &key)
                    }
                }
        $crate::bindings::act::export!(Component with_types_in $crate::bindings::act);
            }
        };
    };
}
