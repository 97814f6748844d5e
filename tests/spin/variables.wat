;; Exports what Spin's interface of variables has. The test writes the answers for `variant` and `max_body` in
;; place of DATA.
(component
  (core module $code
    (memory (export "memory") 1)
    ;; Two results of 16 bytes, one for each variable, then the text that they point to.
    (data (i32.const 0) "DATA")
    ;; The host puts the variable's name here.
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 32768))
    ;; The names have different lengths.
    (func (export "get") (param $name i32) (param $length i32) (result i32)
      (if (result i32) (i32.eq (local.get $length) (i32.const 7))
        (then (i32.const 0))
        (else (i32.const 16)))))
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
