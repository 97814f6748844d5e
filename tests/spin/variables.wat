;; Exports what Spin's interface of variables has. The test writes the answers for `variant` and `max_body` in
;; place of DATA, and one for all others.
(component
  (core module $code
    (memory (export "memory") 1)
    ;; Three results of 16 bytes, then the text that they point to.
    (data (i32.const 0) "DATA")
    ;; The host puts the variable's name here.
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 32768))
    ;; The names' first letters and lengths tell them apart from all others.
    (func $is (param $letter i32) (param $long i32) (param $name i32) (param $length i32) (result i32)
      (i32.and
        (i32.eq (local.get $letter) (i32.load8_u (local.get $name)))
        (i32.eq (local.get $long) (local.get $length))))
    (func (export "get") (param $name i32) (param $length i32) (result i32)
      (if (call $is (i32.const 0x76) (i32.const 7) (local.get $name) (local.get $length))
        (then (return (i32.const 0))))
      (if (call $is (i32.const 0x6d) (i32.const 8) (local.get $name) (local.get $length))
        (then (return (i32.const 16))))
      (i32.const 32)))
  (core instance $code (instantiate $code))
  (type $cases (variant
    (case "invalid-name" string)
    (case "undefined" string)
    (case "provider" string)
    (case "other" string)))
  ;; A type must have a name outside before a function there can use it.
  (export $error "error" (type $cases))
  (func $get (param "name" string) (result (result string (error $error)))
    (canon lift (core func $code "get")
      (memory (core memory $code "memory"))
      (realloc (core func $code "realloc"))))
  (export "get" (func $get)))
