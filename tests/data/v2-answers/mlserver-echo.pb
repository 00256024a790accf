
echo_11*
predictBYTES*Bhello