//! Who may call what: one table, checked before a message is even decoded.

use crate::caller::Role::{self, Administrator, Auditor, Operator, Own, Portal, Service};

/// Who may call a method.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Its service within `rollbook.v1`.
    pub service: &'static str,
    /// Its name.
    pub method: &'static str,
    /// The roles that may.
    pub roles: &'static [Role],
}

macro_rules! access {
    ($($service:ident { $($method:ident: [$($role:ident),+],)+ })+) => {
        /// Every method of the contract, with the roles that may call it.
        pub const TABLE: &[Access] = &[
            $($(Access {
                service: stringify!($service),
                method: stringify!($method),
                roles: &[$($role),+],
            },)+)+
        ];
    };
}

access! {
    AccountService {
        CreateAccount: [Operator],
        GetAccount: [Operator, Administrator, Service],
        ListAccounts: [Operator, Service],
        UpdateAccountSettings: [Operator, Administrator],
        AddCompany: [Operator, Administrator],
        RenameCompany: [Operator, Administrator],
        RemoveCompany: [Operator, Administrator],
        DefineRole: [Operator, Administrator],
        RemoveRole: [Operator, Administrator],
        DefineModule: [Operator, Administrator],
        RemoveModule: [Operator, Administrator],
    }
    UserService {
        CreateUser: [Administrator],
        CopyUser: [Administrator],
        UpdateUser: [Administrator, Own],
        GetUser: [Administrator, Service, Own],
        BatchGetUsers: [Administrator, Service],
        ListUsers: [Administrator, Service],
        FindUsers: [Administrator, Service],
        ListReports: [Administrator, Service],
        GetSupervisorChain: [Administrator, Service],
        DeleteUser: [Administrator],
        CheckUserDeletion: [Administrator, Service],
        CheckAccess: [Administrator, Service, Own],
        ActivateUser: [Administrator],
        DeactivateUser: [Administrator],
        LockUser: [Administrator],
        UnlockUser: [Administrator, Operator],
        ResendWelcome: [Administrator],
        SetUserRoles: [Administrator],
        SetUserPermissions: [Administrator],
        AddUserCompanies: [Administrator],
        RemoveUserCompanies: [Administrator],
        UpdateUserCompany: [Administrator],
        CopyUserCompany: [Administrator],
        ReplaceSupervisor: [Administrator],
        ImportUsers: [Administrator],
        WatchUsers: [Administrator, Service],
    }
    ExternalAccessService {
        GrantAccess: [Operator],
        UpdateAccess: [Operator, Administrator],
        RevokeAccess: [Operator, Administrator],
        ListAccesses: [Operator, Administrator, Service],
    }
    CredentialService {
        SetPassword: [Administrator],
        ChangePassword: [Portal, Own],
        VerifyPassword: [Portal],
        RequestPasswordReset: [Administrator, Portal],
        CompletePasswordReset: [Portal],
        CompleteWelcome: [Portal],
        ReportSignIn: [Service],
        ReportMfaEnrolled: [Service],
        ResetMfa: [Administrator],
        RevokeSessions: [Administrator, Own],
    }
    InvitationService {
        InviteUsers: [Administrator],
        GetInvitation: [Administrator, Service],
        LookUpInvitation: [Portal],
        ListInvitations: [Administrator, Service],
        ResendInvitation: [Administrator],
        DeleteInvitation: [Administrator],
        AcceptInvitation: [Portal],
    }
    InvolvementService {
        ReportInvoiceQueued: [Service],
        ReportInvoiceDequeued: [Service],
        ReportInvoiceReviewed: [Service],
        RetractInvoiceReview: [Service],
        ReportInvoicePosted: [Service],
        ReportInvoiceWithdrawn: [Service],
        LinkFlowTemplate: [Service],
        UnlinkFlowTemplate: [Service],
        LinkReference: [Service],
        UnlinkReference: [Service],
        ListInvolvements: [Administrator, Service],
        ListReviewers: [Administrator, Service],
    }
    RoutingService {
        GetCodingDefaults: [Administrator, Service],
        ProposeReviewers: [Administrator, Service],
        ProposeApprover: [Administrator, Service],
        ListAddressees: [Administrator, Service],
    }
    HistoryService {
        ListEvents: [Auditor],
        ReplayEvents: [Auditor],
        GetUserAsOf: [Auditor],
        DiffUser: [Auditor],
        ListUsersAsOf: [Auditor],
        ListReportsAsOf: [Auditor],
        GetUserTrail: [Auditor],
        GetInvoiceTrail: [Auditor],
        ExportEvents: [Auditor],
        GetCheckpoint: [Auditor],
        GetInclusionProof: [Auditor],
        GetConsistencyProof: [Auditor],
    }
    OperationsService {
        ListProjections: [Operator],
        RebuildProjection: [Operator],
        CopyProjection: [Operator],
        GetLogStatus: [Operator],
        CreateBackup: [Operator],
        RotateMasterKey: [Operator],
        ListDeadLetters: [Operator],
        RetryDeadLetter: [Operator],
    }
}

/// The rule of a method by its gRPC path, such as `/rollbook.v1.UserService/LockUser`.
#[must_use]
pub fn rule(path: &str) -> Option<&'static Access> {
    let (service, method) = path.strip_prefix("/rollbook.v1.")?.split_once('/')?;
    TABLE
        .iter()
        .find(|access| access.service == service && access.method == method)
}
