//! The contract as data: what the descriptor set says of services, methods and messages.

use prost_reflect::{DescriptorPool, MethodDescriptor};
use rollbook_proto::v1::DESCRIPTORS;

/// Every type of the contract.
#[must_use]
pub fn pool() -> DescriptorPool {
    DescriptorPool::decode(DESCRIPTORS).unwrap()
}

/// Every method of the contract, by name.
#[must_use]
pub fn methods() -> Vec<MethodDescriptor> {
    let mut methods: Vec<_> = pool()
        .services()
        .filter(|service| service.package_name() == "rollbook.v1")
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect();
    methods.sort_by_key(|method| method.full_name().to_owned());
    methods
}

/// A method as the access table names it: `rollbook.v1.UserService/LockUser`.
#[must_use]
pub fn name(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().full_name(), method.name())
}

/// The path a method is called by.
#[must_use]
pub fn path(method: &MethodDescriptor) -> String {
    format!("/{}", name(method))
}

/// Whether a method is a command: its message carries the options of one.
#[must_use]
pub fn is_command(method: &MethodDescriptor) -> bool {
    method.input().get_field_by_name("command").is_some()
}
