/* activations.h (template): one forward and one derivative formula per operation, in the order of ops.def. */
static inline REAL F(relu)(REAL x) { return x < C(0.0) ? C(0.0) : x; }
static inline REAL F(relu_d)(REAL x) { return x > C(0.0) ? C(1.0) : x != x ? x : C(0.0); }

static inline REAL F(leaky_relu)(REAL x, REAL a) { return x > C(0.0) ? x : a * x; }
static inline REAL F(leaky_relu_d)(REAL x, REAL a) { return x > C(0.0) ? C(1.0) : x != x ? x : a; }
