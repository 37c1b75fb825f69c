"""How today's binary networks are trained: activations first and weights second, by a teacher."""
