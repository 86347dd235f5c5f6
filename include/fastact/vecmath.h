/* vecmath.h (template): placeholder */
