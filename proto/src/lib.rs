//! The contract: generated gRPC messages, clients and servers, and the descriptor set they come from.

/// Package `rollbook.v1`.
pub mod v1 {
    #![expect(
        clippy::pedantic,
        clippy::large_enum_variant,
        reason = "generated; the documentation stands in the protos"
    )]

    tonic::include_proto!("rollbook.v1");

    /// The `FileDescriptorSet` of the package and all that it imports, encoded.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
}
