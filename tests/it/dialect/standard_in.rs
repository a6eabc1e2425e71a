//! What clients of the standard dialect say, in every shape that was seen.

use porchlight::chat::Command;

use super::{decoded, outcome, outcomes, standard};

#[test]
fn every_seen_shape() {
    let shown = outcomes(
        &standard(),
        &[
            r#"["message:send",{"conversationId":"conv-1","content":"Hello, world!"}]"#,
            r#"["message:send",{"conversationId":"conv-1","content":"Hi","type":"text"}]"#,
            r#"["message:send",{"conversationId":"c","content":"\u00e9\ud83d\ude00\n","type":null,"clientId":"k-1","metadata":{"a":{"b":[1,null]}},"other":[{}]}]"#,
            r#"["message:send",{"senderId":"ann","conversationId":"c","content":"x"}]"#,
            r#"["message:send",{"conversationId":"c","attachments":["u-1","/api/uploads/u-2",{"id":"u-3"},{"url":"https://chat.example/api/uploads/u-4?x=1","name":"a"}]}]"#,
            r#"["message:send",{"conversationId":"c","content":"x","attachments":[]}]"#,
            r#"["message:send",{"conversationId":"c","content":"x","attachments":null}]"#,
            r#"["message:read",{"messageId":"m-1"}]"#,
            r#"["message:read",{"conversationId":"c","messageId":"m-1"}]"#,
            r#"["message:read",{"conversationId":"c","messageIds":["m-1","m-2"]}]"#,
            r#"["message:read",{"conversationId":"c"}]"#,
            r#"["message:read","m-1"]"#,
            r#"["message:read",["m-1","m-2"]]"#,
            r#"["message:delivered",{"messageId":"m-1"}]"#,
            r#"["message:delivered",{"messageId":"m-1","conversationId":"c"}]"#,
            r#"["message:delivered",{"conversationId":"c","messageIds":["m-1"]}]"#,
            r#"["typing:start",{"conversationId":"c"}]"#,
            r#"["typing:stop",{"conversationId":"c","userId":"ann"}]"#,
            r#"["conversation:join","c"]"#,
            r#"["conversation:join",{"conversationId":"c"}]"#,
            r#"["conversation:join",{"conversationId":"c","after":41}]"#,
            r#"["conversation:leave","c"]"#,
            r#"["conversation:leave",{"conversationId":"c"}]"#,
            r#"["conversation:sync",{"conversations":{"c-1":0,"c-2":17}}]"#,
            r#"["conversation:sync",{"conversations":{}}]"#,
            r#"["message:search","caf\u00e9 -noir"]"#,
            r#"["message:search",{"query":"a b"}]"#,
            r#"["message:search",{"query":"a","conversationId":"c","cursor":"m-1~20","limit":5}]"#,
            r#"["user:status","online"]"#,
            r#"["user:status","away"]"#,
            r#"["user:status","busy"]"#,
            r#"["user:status","offline"]"#,
            r#"["authenticate",{"token":"t"}]"#,
            // Further arguments, as callbacks leave them behind, do not matter.
            r#"["conversation:join","c",{"x":1},null]"#,
        ],
    );
    insta::assert_snapshot!(shown);
}

#[test]
fn every_refusal_names_the_field() {
    let shown = outcomes(
        &standard(),
        &[
            r#"["message:send"]"#,
            r#"["message:send",null]"#,
            r#"["message:send","c","text"]"#,
            r#"["message:send",{}]"#,
            r#"["message:send",{"conversationId":"c"}]"#,
            r#"["message:send",{"conversationId":"c","content":null}]"#,
            r#"["message:search"]"#,
            r#"["message:search",{"conversationId":"c"}]"#,
            r#"["message:search",{"query":7}]"#,
            r#"["message:send",{"conversationId":"c","attachments":[]}]"#,
            r#"["message:send",{"conversationId":"c","attachments":"u-1"}]"#,
            r#"["message:send",{"conversationId":"c","attachments":[7]}]"#,
            r#"["message:send",{"conversationId":"c","attachments":["https://example.org/cat.png"]}]"#,
            r#"["message:send",{"conversationId":"c","attachments":[{"name":"a"}]}]"#,
            r#"["message:send",{"conversationId":"c","content":7}]"#,
            r#"["message:send",{"conversationId":7,"content":"x"}]"#,
            r#"["message:send",{"conversationId":"a b","content":"x"}]"#,
            r#"["message:send",{"conversationId":"","content":"x"}]"#,
            r#"["message:send",{"conversationId":"c","content":"x","type":["text"]}]"#,
            r#"["message:send",{"conversationId":"c","content":"x","clientId":""}]"#,
            r#"["message:send",{"conversationId":"c","content":"x","clientId":"a\nb"}]"#,
            r#"["message:send",{"conversationId":"c","content":"x","metadata":[1]}]"#,
            r#"["message:send",{"conversationId":"c","content":"x","metadata":"{}"}]"#,
            r#"["message:send",{"conversationId":"c","content":"\ud800"}]"#,
            r#"["message:send",{"conversationId":"c","content":"x","metadata":{"a":"\udc00"}}]"#,
            r#"["message:send",{"conversationId":"c","content":"x","metadata":{"a":1e999}}]"#,
            r#"["message:send",{"conversationId":"c","content":"x","content":"y"}]"#,
            r#"["message:send",{"conversationId":"c","content":"x","senderId":7}]"#,
            r#"["message:read"]"#,
            r#"["message:read",{}]"#,
            r#"["message:read",7]"#,
            r#"["message:read",[]]"#,
            r#"["message:read",{"conversationId":"c","messageIds":[]}]"#,
            r#"["message:read",{"conversationId":"c","messageIds":["m",7]}]"#,
            r#"["message:read",{"messageId":{"id":"m"}}]"#,
            r#"["typing:start"]"#,
            r#"["typing:start",{"conversationId":"../etc"}]"#,
            r#"["conversation:join",{"after":1}]"#,
            r#"["conversation:join",[]]"#,
            r#"["conversation:join",{"conversationId":"c","after":-1}]"#,
            r#"["conversation:join",{"conversationId":"c","after":1.5}]"#,
            r#"["conversation:join",{"conversationId":"c","after":99999999999999999999999}]"#,
            r#"["conversation:join",{"conversationId":"c","after":1e999}]"#,
            r#"["conversation:join",{"conversationId":"c","after":"1"}]"#,
            r#"["conversation:sync",{}]"#,
            r#"["conversation:sync",{"conversations":[]}]"#,
            r#"["conversation:sync",{"conversations":{"c":-1}}]"#,
            r#"["conversation:sync",{"conversations":{"c":1,"c":2}}]"#,
            r#"["conversation:sync",{"conversations":{"a b":1}}]"#,
            r#"["user:status","idle"]"#,
            r#"["user:status",{"status":"away"}]"#,
            r#"["authenticate",{"token":1}]"#,
            r#"["authenticate"]"#,
            r#"["no:such","x"]"#,
            r#"["__proto__",{}]"#,
            r#"["constructor"]"#,
            r#"[]"#,
            r#"[7]"#,
            r#"{}"#,
            r#""#,
            r#"["conversation:join","c""#,
            r#"["conversation:join","c"] x"#,
        ],
    );
    insta::assert_snapshot!(shown);
}

#[test]
fn metadata_is_kept_as_it_came_and_bounded() {
    let dialect = standard();
    let packet = |metadata: &str| {
        format!(r#"["message:send",{{"conversationId":"c","content":"x","metadata":{metadata}}}]"#)
    };
    let exotic = r#"{"__proto__":{"x":1}, "b" : [1.50, -0, 1e3], "s":"\u0041", "s":2}"#;
    match decoded(&dialect, &packet(exotic)) {
        Command::Send(send) => assert_eq!(send.metadata.unwrap().get(), exotic),
        other => panic!("{other:?}"),
    }
    let sized = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    assert!(outcome(&dialect, &packet(&sized(16 * 1024))).starts_with("Send"));
    assert_eq!(
        outcome(&dialect, &packet(&sized(16 * 1024 + 1))),
        "refused message:send: too_large: metadata: at most 16384 bytes"
    );
    let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    assert!(outcome(&dialect, &packet(&nested(32))).starts_with("Send"));
    assert!(outcome(&dialect, &packet(&nested(33))).contains("invalid: metadata: "));
    assert!(outcome(&dialect, &packet(&nested(1000))).contains("invalid: metadata: "));
}

#[test]
fn lists_are_bounded() {
    let dialect = standard();
    let ids = |n: usize| {
        let ids: Vec<_> = (0..n).map(|i| format!("\"m{i}\"")).collect();
        format!(r#"["message:read",[{}]]"#, ids.join(","))
    };
    match decoded(&dialect, &ids(1000)) {
        Command::Read(target) => assert_eq!(target.messages.len(), 1000),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        outcome(&dialect, &ids(1001)),
        "refused message:read: too_large: argument 1: at most 1000 ids"
    );
    let seqs = |n: usize| {
        let seqs: Vec<_> = (0..n).map(|i| format!("\"c{i}\":{i}")).collect();
        format!(
            r#"["conversation:sync",{{"conversations":{{{}}}}}]"#,
            seqs.join(",")
        )
    };
    match decoded(&dialect, &seqs(1000)) {
        Command::Sync { conversations } => assert_eq!(conversations.len(), 1000),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        outcome(&dialect, &seqs(1001)),
        "refused conversation:sync: too_large: conversations: at most 1000 conversations"
    );
}

#[test]
fn the_handshake_tells_the_token() {
    let dialect = standard();
    let token = |auth: &str| dialect.introduction(auth).unwrap().token;
    assert_eq!(
        token(r#"{"token":"a.b.c","x":1}"#).as_deref(),
        Some("a.b.c")
    );
    for none in ["{}", "null", "7", "[]", r#""a""#, r#"{"token":7}"#] {
        assert_eq!(token(none), None, "{none}");
    }
    for broken in ["", "{", r#"{"token":"a"#, r#"{"token":"a","token":"b"}"#] {
        assert!(dialect.introduction(broken).is_err(), "{broken}");
    }
}
