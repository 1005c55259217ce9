(component
  (core module $t (table 1 funcref))
  ;;@repeat 100
  (core instance (instantiate $t))
  ;;@end
  (core module $m (func (export "decode")))
  (core instance $i (instantiate $m))
  (func $decode (canon lift (core func $i "decode")))
  (instance $exports (export "decode" (func $decode)))
  (export "faultline:plugin/decode@0.1.0" (instance $exports)))
