//! Tables after "Ensuring idempotency in Amazon EC2 API requests" and the page of RunInstances.

use super::*;

fn params(extra: &str) -> Params {
    Params::parse(&format!("Action=RunInstances&ImageId=ami-1&MinCount=1&MaxCount=1&InstanceType=t3.micro{extra}"))
}

fn request(extra: &str) -> LaunchRequest {
    LaunchRequest::read(&params(extra)).unwrap()
}

#[test]
fn tokens() {
    let mut tokens = Tokens::default();
    let first = request("&ClientToken=t&SubnetId=subnet-1");
    let key = first.token_key("a").unwrap();
    assert_eq!(tokens.known(&key, &first.fingerprint), Ok(Known::New));
    tokens.claim(key.clone(), first.fingerprint.clone());
    assert_eq!(tokens.known(&key, &first.fingerprint), Ok(Known::InFlight));
    let answer = Answer::ec2_done("RunInstances");
    tokens.settle(&key, answer.clone());
    // Each request after the first, in the Zone of its subnet, and what it gets.
    let table = [
        ("the same again", "&ClientToken=t&SubnetId=subnet-1", "a", Ok(Known::Answered(answer))),
        (
            "another type",
            "&ClientToken=t&SubnetId=subnet-1&InstanceType=m5.large",
            "a",
            Err("IdempotentParameterMismatch"),
        ),
        (
            "another tag",
            "&ClientToken=t&SubnetId=subnet-1&TagSpecification.1.ResourceType=instance",
            "a",
            Err("IdempotentParameterMismatch"),
        ),
        ("another subnet of the Zone", "&ClientToken=t&SubnetId=subnet-2", "a", Err("IdempotentParameterMismatch")),
        ("another Zone", "&ClientToken=t&SubnetId=subnet-3", "b", Ok(Known::New)),
        ("the Region", "&ClientToken=t", "a", Ok(Known::New)),
        ("another token", "&ClientToken=u&SubnetId=subnet-1", "a", Ok(Known::New)),
    ];
    for (what, extra, zone, expected) in table {
        let request = request(extra);
        let known = tokens.known(&request.token_key(zone).unwrap(), &request.fingerprint);
        assert_eq!(known.map_err(|error| error.code), expected.map_err(str::to_owned), "{what}");
    }
    assert_eq!(request("").token_key("a"), None);
}

#[test]
fn a_launch_that_came_to_nothing_may_be_repeated() {
    let mut tokens = Tokens::default();
    let request = request("&ClientToken=t");
    let key = request.token_key("a").unwrap();
    tokens.claim(key.clone(), request.fingerprint.clone());
    tokens.release(&key);
    assert_eq!(tokens.known(&key, &request.fingerprint), Ok(Known::New));
}

#[test]
fn what_is_asked_for_is_read() {
    let request = request(
        "&NetworkInterface.1.SubnetId=subnet-1&NetworkInterface.1.SecurityGroupId.1=sg-1&UserData=aGFsbG8%3D\
         &IamInstanceProfile.Arn=arn%3Aaws%3Aiam%3A%3A1%3Ainstance-profile%2Fworker\
         &InstanceInitiatedShutdownBehavior=terminate&TagSpecification.1.ResourceType=instance\
         &TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=b",
    );
    assert_eq!(request.subnet_id.as_deref(), Some("subnet-1"));
    assert_eq!(request.group_ids, ["sg-1"]);
    assert_eq!(request.user_data, b"hallo");
    assert_eq!(request.profile_name.as_deref(), Some("worker"));
    assert!(request.terminate_on_shutdown);
    assert_eq!(request.tags, Tags::from([("a".to_owned(), "b".to_owned())]));
}

#[test]
fn what_ec2_refuses_is_refused() {
    let long = STANDARD.encode(vec![0; USER_DATA_LIMIT + 1]).replace('=', "%3D").replace('+', "%2B");
    let groups: String = (1..7).map(|n| format!("&SecurityGroupId.{n}=sg-{n}")).collect();
    for (extra, code) in [
        ("&UserData=!", "InvalidUserData.Malformed"),
        (&format!("&UserData={long}"), "InvalidParameterValue"),
        ("&MaxCount=0", "InvalidParameterValue"),
        ("&InstanceInitiatedShutdownBehavior=hibernate", "InvalidParameterValue"),
        (&format!("&ClientToken={}", "x".repeat(65)), "InvalidParameterValue"),
        (&groups, "SecurityGroupsPerInterfaceLimitExceeded"),
        ("&ImageId=", "MissingParameter"),
    ] {
        assert_eq!(LaunchRequest::read(&params(extra)).unwrap_err().code, code, "{extra}");
    }
}
