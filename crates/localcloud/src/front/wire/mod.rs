//! The wire formats of the AWS query, EC2 and JSON protocols, as far as the front speaks them itself.

mod answer;
mod call;
mod error;
mod params;
mod tree;
mod xml;

pub(crate) use answer::Answer;
pub(crate) use call::{Call, Payload, Protocol};
pub(crate) use error::AwsError;
pub(crate) use params::{Params, encode, percent_decode};
pub(crate) use tree::Element;
pub(crate) use xml::Xml;
