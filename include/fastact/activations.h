/* activations.h (template): one forward and one derivative formula per operation, in the order of ops.def. */
static inline REAL F(relu)(REAL x) { return C(0.0) > x ? C(0.0) : x; }
static inline REAL F(relu_d)(REAL x) { return x > C(0.0) ? C(1.0) : x != x ? x : C(0.0); }

static inline REAL F(leaky_relu)(REAL x, REAL a) { return x > C(0.0) ? x : a * x; }
static inline REAL F(leaky_relu_d)(REAL x, REAL a) { return x > C(0.0) ? C(1.0) : x != x ? x : a; }

static inline REAL F(prelu)(REAL x, REAL a) { return x > C(0.0) ? x : a * x; }
static inline REAL F(prelu_d)(REAL x, REAL a) { return x > C(0.0) ? C(1.0) : x != x ? x : a; }

static inline REAL F(elu)(REAL x, REAL alpha) { return x > C(0.0) ? x : alpha * F(expm1_nonpos)(x); }
static inline REAL F(elu_d)(REAL x, REAL alpha) { return x > C(0.0) ? C(1.0) : F(exp_times)(x, alpha); }

static inline REAL F(sigmoid)(REAL x) { return F(sigmoid_of)(x); }
static inline REAL F(sigmoid_d)(REAL y) { return y * (C(1.0) - y); }

static inline REAL F(tanh)(REAL x) { return F(tanh_of)(x); }
static inline REAL F(tanh_d)(REAL y) { return FA_HAS_FMA ? FMA(-y, y, C(1.0)) : (C(1.0) - y) * (C(1.0) + y); }
