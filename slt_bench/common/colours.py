"""The colours of figures and of MLflow's view: Okabe and Ito's, which can be told apart with any colour vision."""

BLACK, GREY, BLUE, VERMILION, GREEN = "#000000", "#999999", "#0072B2", "#D55E00", "#009E73"
SKY_BLUE, ORANGE, PURPLE, YELLOW = "#56B4E9", "#E69F00", "#CC79A7", "#F0E442"
