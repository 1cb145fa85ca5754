use super::*;

pub(super) fn role(name: &str) -> Role {
    Role {
        name: name.into(),
        superuser: false,
        inherit: true,
        create_role: false,
        create_database: false,
        login: false,
        replication: false,
        bypass_row_security: false,
        connection_limit: -1,
        valid_until: None,
        comment: None,
        settings: Vec::new(),
        member_of: Vec::new(),
    }
}

fn member(role: &str, admin: bool) -> Membership {
    Membership { role: role.into(), admin, inherit: Some(true), set: Some(false) }
}

fn target(existing: &[&str], superuser: bool, version: u32) -> Target {
    Target {
        existing: existing.iter().map(|&name| name.to_owned()).collect(),
        login: "master".into(),
        superuser,
        server_version_num: version,
    }
}

fn statements(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.sql.as_str()).collect()
}

#[test]
fn a_missing_role_is_created_with_what_may_be_given() {
    let full = Role {
        login: true,
        create_database: true,
        superuser: true,
        bypass_row_security: true,
        connection_limit: 3,
        valid_until: Some("2030-01-01".into()),
        comment: Some("it's".into()),
        settings: vec![("search_path".into(), "\"$user\", public".into())],
        ..role("a\"b")
    };
    let plan = plan(&[full], &target(&["master"], false, 150_000));
    assert_eq!(
        statements(&plan),
        [
            "CREATE ROLE \"a\"\"b\" WITH LOGIN INHERIT CONNECTION LIMIT 3 VALID UNTIL '2030-01-01'",
            "ALTER ROLE \"a\"\"b\" WITH CREATEDB",
            "COMMENT ON ROLE \"a\"\"b\" IS 'it''s'",
            "ALTER ROLE \"a\"\"b\" SET \"search_path\" TO '$user', 'public'",
        ]
    );
    assert_eq!(plan.without_password, ["a\"b"]);
    let left_out: Vec<_> = plan.left_out.iter().map(|left| left.what.as_str()).collect();
    assert_eq!(left_out, ["SUPERUSER of role \"a\\\"b\"", "BYPASSRLS of role \"a\\\"b\""]);
}

#[test]
fn a_superuser_target_gives_everything() {
    let plan = plan(&[Role { superuser: true, ..role("boss") }], &target(&[], true, 150_000));
    assert_eq!(statements(&plan)[1], "ALTER ROLE \"boss\" WITH SUPERUSER");
    assert!(plan.left_out.is_empty());
}

#[test]
fn an_existing_role_keeps_what_it_is_and_gains_memberships() {
    let existing = Role { login: true, create_role: true, member_of: vec![member("readers", true)], ..role("app") };
    let plan = plan(&[existing, role("readers")], &target(&["app"], false, 150_000));
    assert_eq!(
        statements(&plan),
        ["CREATE ROLE \"readers\" WITH NOLOGIN INHERIT", "GRANT \"readers\" TO \"app\" WITH ADMIN OPTION"]
    );
    assert!(plan.without_password.is_empty());
}

#[test]
fn options_of_memberships_are_named_only_where_the_server_knows_them() {
    let roles = [Role { member_of: vec![member("b", false)], ..role("a") }, role("b")];
    let last = |version| statements(&plan(&roles, &target(&["a", "b"], false, version))).concat();
    assert_eq!(last(150_000), "GRANT \"b\" TO \"a\"");
    assert_eq!(last(160_000), "GRANT \"b\" TO \"a\" WITH INHERIT TRUE, SET FALSE");
}

#[test]
fn the_restoring_login_does_not_give_itself_what_it_has_as_a_roles_creator() {
    let bare = Membership { inherit: Some(false), set: Some(false), ..member("made", true) };
    let roles = [Role { member_of: vec![bare, member("owner", true)], ..role("master") }, role("made"), role("owner")];
    let grants = |target: &Target| {
        let plan = plan(&roles, target);
        statements(&plan).into_iter().filter(|sql| sql.starts_with("GRANT")).map(str::to_owned).collect::<Vec<_>>()
    };
    let existing = ["master", "made", "owner"];
    let own = grants(&target(&existing, false, 160_000));
    assert_eq!(own, ["GRANT \"owner\" TO \"master\" WITH INHERIT TRUE, SET FALSE"]);
    assert_eq!(grants(&target(&existing, false, 150_000)).len(), 2, "before 16 the option is all there is");
    assert_eq!(grants(&target(&existing, true, 160_000)).len(), 2, "a superuser gives what it likes");
}

#[test]
fn reserved_roles_are_never_made_and_missing_ones_are_reported() {
    let roles = [
        role("rdsadmin"),
        role("rds_superuser"),
        role("pg_read_all_data"),
        Role { member_of: vec![member("rds_superuser", false)], ..role("master") },
        Role { member_of: vec![member("rds_superuser", false)], ..role("old_master") },
    ];
    let plan = plan(&roles, &target(&["master"], false, 150_000));
    assert_eq!(statements(&plan), ["CREATE ROLE \"old_master\" WITH NOLOGIN INHERIT"]);
    assert_eq!(plan.left_out.len(), 1, "{:?}", plan.left_out);
    assert!(plan.left_out[0].reason.contains("rds_superuser"));
}

#[test]
fn assignments_quote_lists_by_element_and_texts_as_one() {
    let cases = [
        ("work_mem", "64MB", "\"work_mem\" TO '64MB'"),
        ("search_path", "\"a, b\", c", "\"search_path\" TO 'a, b', 'c'"),
        ("search_path", "", "\"search_path\" TO ''"),
        ("my.parameter", "it's", "\"my\".\"parameter\" TO 'it''s'"),
    ];
    for (name, value, expected) in cases {
        assert_eq!(assignment(name, value), expected);
    }
}
