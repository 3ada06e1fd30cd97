//! The contract: generated gRPC messages, clients and servers, and the descriptor set they come from.

/// Package `rollbook.v1`: its messages and its clients.
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

/// Package `rollbook.v1` as it is served: its servers, and of its messages those answers that hold a user. Here they hold it
/// encoded, since whoever answers with the same user again has no reason to encode it again.
pub mod served {
    #![expect(
        clippy::pedantic,
        reason = "generated; the documentation stands in the protos"
    )]

    include!(concat!(env!("OUT_DIR"), "/served/rollbook.v1.rs"));
}

/// Package `event_store.client`: the contract that clients of `KurrentDB` and `EventStoreDB` are made for, as far as it is served.
pub mod kurrent {
    #![expect(
        clippy::pedantic,
        clippy::large_enum_variant,
        reason = "generated; the documentation stands in the protos"
    )]

    tonic::include_proto!("event_store.client");

    /// Package `event_store.client.streams`.
    pub mod streams {
        tonic::include_proto!("event_store.client.streams");
    }

    /// Package `event_store.client.gossip`.
    pub mod gossip {
        tonic::include_proto!("event_store.client.gossip");
    }

    /// Package `event_store.client.server_features`.
    pub mod server_features {
        tonic::include_proto!("event_store.client.server_features");
    }

    /// The `FileDescriptorSet` of these packages and all that they import, encoded.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kurrent.binpb"));
}
